// The style that the report and the explorer share: colours, type, and the parts that both have. Words are set in a
// serif, everything else in the system's sans serif. The report and the explorer each add their own rules after these.

/// CSS for every page. The colour `--c0` is for the dictionary that a page is about, `--c1` for its baseline.
package let sharedStyle = """
  :root{--paper:#fbfaf6;--card:#fff;--ink:#1e1c19;--mid:#5d5850;--hush:#757064;--rule:#e5e0d5;
  --c0:#0d6a5f;--tint:#e3efec;
  --serif:"Iowan Old Style","Palatino Linotype",Palatino,"Noto Serif",Georgia,serif;
  --sans:system-ui,-apple-system,"Segoe UI","Noto Sans",sans-serif}
  @media (prefers-color-scheme:dark){:root{--paper:#161512;--card:#1e1c19;--ink:#ece7de;
  --mid:#b3aca0;--hush:#908a7e;--rule:#35322c;--c0:#5fc4b2;--tint:#1f3430}}
  *{box-sizing:border-box}
  html{-webkit-text-size-adjust:100%}
  body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 var(--sans)}
  a{color:var(--c0)}
  :focus-visible{outline:2px solid var(--c0);outline-offset:2px;border-radius:3px}
  .skip{position:absolute;left:-99em}
  .skip:focus{left:1rem;top:.6rem;background:var(--card);padding:.4rem .8rem;z-index:9}
  .hush{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
  .small{font-size:.8125rem;color:var(--mid)}
  .empty{color:var(--mid);font-style:italic}
  .lead{color:var(--mid)}
  .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}
  .figures div{border-top:2px solid var(--c0)}
  .figures dt{font-size:.8125rem;color:var(--mid)}
  .figures dd{margin:0}
  .figures dd.aside{font:.8125rem/1.4 var(--sans);color:var(--mid)}
  .words{font-family:var(--serif)}
  .card{background:var(--card);border:1px solid var(--rule);border-radius:8px;min-width:0}
  .scroll{overflow-x:auto}
  @media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}

  """
