// The report's own style, after the shared one.

import HSAEHTML

let style =
  sharedStyle + """
    :root{--c1:#b3602a;--c2:#5a55a8;--c3:#8c7a1e;--c4:#a8406f;--c5:#3f7fae;--mark:#fbe7a5}
    @media (prefers-color-scheme:dark){:root{--c1:#e39a62;--c2:#a5a0ee;--c3:#d4bf5c;--c4:#e287b2;
    --c5:#7fb9e2;--mark:#5c4b12}}
    html{scroll-padding-top:3.5rem}
    .wrap{max-width:1120px;margin:0 auto;padding:0 28px}
    .masthead{padding:56px 0 30px}
    .kicker{margin:0 0 10px;color:var(--c0);font-size:.8125rem;font-weight:600;letter-spacing:.02em}
    h1{margin:0;font:500 clamp(2rem,5.2vw,3.4rem)/1.08 var(--serif);letter-spacing:-.015em;
    text-wrap:balance;overflow-wrap:anywhere}
    .subtitle{margin:14px 0 0;color:var(--mid);font-size:1.0625rem;max-width:46em}
    .figures{gap:22px 30px;margin:34px 0 0}
    .figures div{padding-top:10px}
    .figures dd{font:500 1.75rem/1.25 var(--serif);font-variant-numeric:tabular-nums}
    .sections{position:sticky;top:0;z-index:5;background:color-mix(in srgb,var(--paper) 93%,transparent);
    backdrop-filter:blur(6px);border-block:1px solid var(--rule)}
    .sections .wrap{display:flex;gap:22px;overflow-x:auto;scrollbar-width:none}
    .sections a{padding:10px 0;font-size:.875rem;color:var(--mid);text-decoration:none;
    white-space:nowrap}
    .sections a:hover{color:var(--c0)}
    main>section{padding:44px 0 12px}
    h2{margin:0 0 6px;font:500 1.75rem/1.2 var(--serif);letter-spacing:-.01em}
    h3{margin:26px 0 10px;font:500 1.25rem/1.3 var(--serif)}
    .lead{margin:0 0 20px;max-width:44em}
    .note{font-size:.8125rem;color:var(--mid)}
    .empty{margin:.4rem 0}
    code{font-size:.875em;overflow-wrap:anywhere}
    bdi{display:inline-block;max-width:100%;overflow-wrap:anywhere}
    .sub{font-family:var(--serif)}
    .words bdi,.sub bdi{margin-inline-end:.5em}
    .b{color:color-mix(in srgb,var(--ink) 82%,var(--paper))}
    .c{color:color-mix(in srgb,var(--ink) 66%,var(--paper))}
    mark{background:var(--mark);color:inherit;border-radius:2px;box-shadow:0 0 0 2px var(--mark)}
    .search{margin:0 0 18px}
    .search label{display:block;font-size:.875rem;font-weight:600;margin-bottom:6px}
    .search input{width:100%;max-width:34rem;font:1.1875rem/1.3 var(--serif);padding:11px 14px;
    color:var(--ink);background:var(--card);border:1px solid var(--hush);border-radius:6px}
    .search input::placeholder{color:var(--hush);opacity:1}
    #status{margin:6px 0 0;min-height:1.3em;font-size:.8125rem;color:var(--mid)}
    .tabs{display:flex;gap:4px;border-bottom:1px solid var(--rule);margin-bottom:6px}
    .tabs[hidden],.search[hidden],[hidden]{display:none}
    .tabs button{font:600 .9375rem var(--sans);color:var(--mid);background:none;border:0;
    border-bottom:2px solid transparent;padding:10px 14px;margin-bottom:-1px;cursor:pointer}
    .tabs button[aria-selected=true]{color:var(--c0);border-color:var(--c0)}
    .filter{margin:-34px 0 12px;text-align:right;font-size:.8125rem;color:var(--mid)}
    .filter label{cursor:pointer}
    .filter input{accent-color:var(--c0);vertical-align:-2px;margin:0 4px 0 0}
    .js .plain{display:none}
    .tree{border-bottom:1px solid var(--rule)}
    .tree>summary{display:grid;grid-template-columns:2.2rem minmax(0,1fr) 110px 17rem 3.4rem;gap:14px;
    align-items:center;padding:11px 6px 11px 2px;cursor:pointer;list-style:none}
    summary::-webkit-details-marker{display:none}
    .tree>summary:hover,.tree>summary:focus-visible{background:color-mix(in srgb,var(--tint) 55%,transparent)}
    .rank{color:var(--hush);font-size:.8125rem;text-align:right;font-variant-numeric:tabular-nums}
    .head{font:1.125rem/1.35 var(--serif)}
    .tree[open]>summary .head{color:var(--c0)}
    .strip{display:flex;gap:1px;height:8px;background:var(--rule);border-radius:4px;overflow:hidden}
    .strip i{background:var(--c0);flex:none}
    .strip i:nth-child(2){opacity:.84}.strip i:nth-child(3){opacity:.7}.strip i:nth-child(4){opacity:.58}
    .strip i:nth-child(5){opacity:.48}.strip i:nth-child(n+6){opacity:.38}
    .meta{display:flex;gap:12px;font-size:.8125rem;color:var(--mid);white-space:nowrap;
    font-variant-numeric:tabular-nums}
    .meta span:first-child{min-width:6.2rem;text-align:right}
    .score{font-size:.9375rem;text-align:right;font-variant-numeric:tabular-nums}
    .tree>.words{margin:4px 0 0 calc(2.2rem + 16px);font-size:1.0625rem;line-height:1.65}
    .subs{list-style:none;margin:8px 0 0 calc(2.2rem + 22px);padding:0}
    .subs li{position:relative;display:grid;grid-template-columns:128px minmax(0,1fr);gap:14px;
    padding:4px 0 4px 24px;line-height:1.6}
    .subs li::before{content:"";position:absolute;left:0;top:-4px;width:15px;height:1.35em;
    border:solid var(--hush);border-width:0 0 1px 1px;border-bottom-left-radius:6px}
    .subs li:not(:last-child)::after{content:"";position:absolute;left:0;top:0;bottom:0;
    border-left:1px solid var(--hush)}
    .share,.z{position:relative;display:flex;align-items:center;gap:8px;height:1.6em}
    .share i,.z i{flex:none;height:7px;background:var(--c0);border-radius:3px;min-width:2px}
    .share b{width:2.75rem;text-align:right}
    .share b,.z b{font:.8125rem var(--sans);color:var(--mid);font-variant-numeric:tabular-nums;
    white-space:nowrap}
    .tree>.note{margin:10px 0 18px calc(2.2rem + 16px)}
    .how{margin:22px 0 0;border:1px solid var(--rule);border-radius:8px;padding:0 18px;
    background:var(--card)}
    .how+.how{margin-top:10px}
    .how>summary{cursor:pointer;padding:12px 0;font-weight:600;font-size:.9375rem;list-style:none}
    .how>summary::before,.other>summary::before{content:"+";display:inline-block;width:1.1em;
    color:var(--c0)}
    .how[open]>summary::before,.other[open]>summary::before{content:"−"}
    .how p,.how dl{max-width:50em;font-size:.9375rem}
    .formula{font-family:var(--serif)}
    .terms div,.configuration div{display:grid;grid-template-columns:8rem minmax(0,1fr);gap:12px;
    padding:3px 0}
    .terms dt{font-weight:600}
    .terms dd,.configuration dd{margin:0;overflow-wrap:anywhere}
    .configuration{columns:2;column-gap:40px;margin:0 0 16px;max-width:none!important}
    .configuration div{break-inside:avoid;grid-template-columns:11rem minmax(0,1fr)}
    .configuration dt{color:var(--mid)}
    .cards{columns:320px 3;column-gap:18px}
    .cards .card{break-inside:avoid;margin:0 0 18px}
    .card{padding:16px 18px}
    .card h3{margin:0 0 6px;font-size:1.625rem;display:flex;align-items:baseline;gap:10px;
    justify-content:space-between}
    .card h4{margin:0 0 6px;font:600 .875rem var(--sans);color:var(--mid);overflow-wrap:anywhere}
    .card small{font:.75rem var(--sans);color:var(--hush);white-space:nowrap}
    .experts{list-style:none;margin:0;padding:0;font-size:.9375rem;line-height:1.45}
    .experts li{display:grid;grid-template-columns:74px minmax(0,1fr);gap:0 10px;padding:9px 0 7px;
    border-top:1px solid var(--rule)}
    .z{height:1.45em;gap:6px}
    .z i{order:2;flex:0 1 auto;max-width:30px}
    .z b{width:2.5rem;text-align:right;flex:none;color:var(--ink)}
    .sub{grid-column:2;color:var(--c0);margin-top:3px;padding-left:18px;position:relative}
    .sub::before{content:"";position:absolute;left:3px;top:-2px;width:9px;height:.95em;
    border:solid var(--hush);border-width:0 0 1px 1px;border-bottom-left-radius:5px}
    .sub b{font:600 .8125rem var(--sans);font-variant-numeric:tabular-nums;margin-right:4px}
    .sub .b,.sub .c{color:inherit}
    .sub .c{opacity:.8}
    .faint{color:var(--hush);font-size:.875rem}
    .faint b{font-weight:400}.faint .c{opacity:1}
    .other{margin-top:6px;border-top:1px solid var(--rule);padding-top:8px}
    .other>summary{cursor:pointer;font-size:.8125rem;color:var(--mid);list-style:none}
    .other .z i{background:var(--c1)}
    .other .experts li:first-child{border-top:0}
    .versus{border-top:1px solid var(--rule);padding:6px 0 18px}
    .columns{display:grid;grid-auto-flow:column;grid-auto-columns:minmax(244px,1fr);gap:14px;
    overflow-x:auto;padding-bottom:6px}
    .numbers{border-collapse:collapse;font-variant-numeric:tabular-nums;min-width:min(100%,640px)}
    .numbers th,.numbers td{padding:7px 14px;border-bottom:1px solid var(--rule);text-align:right}
    .numbers th:first-child{text-align:left;padding-left:0}
    .numbers tbody th{font-weight:400;color:var(--mid)}
    .numbers thead th{font-size:.875rem;vertical-align:bottom}
    .numbers td{white-space:nowrap}
    .runs{font-size:.9375rem}
    .runs tbody th{color:var(--ink);min-width:9rem;overflow-wrap:anywhere}
    .runs thead th+th{min-width:6.6rem}
    .best{font-weight:650;color:var(--c0)}
    .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,310px),1fr));gap:34px 40px}
    .charts:has(>:nth-child(4):last-child){\
    grid-template-columns:repeat(auto-fit,minmax(min(100%,max(310px,40%)),1fr))}
    .charts+.charts{margin-top:34px}
    #evaluation>.small~h2{margin-top:44px}
    .charts+.scroll{margin-top:26px}
    .chart{margin:0;min-width:0}
    .chart figcaption{font-weight:600;font-size:.9375rem}
    .legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 16px;margin:4px 0 12px;padding:0;
    font-size:.8125rem;color:var(--mid)}
    .legend b{color:var(--ink);font-variant-numeric:tabular-nums;font-weight:600}
    .key{display:inline-block;width:16px;border-top:2px solid var(--k);vertical-align:middle;
    margin-right:6px}
    .key.dash{border-top-style:dashed}
    .c0{--k:var(--c0)}.c1{--k:var(--c1)}.c2{--k:var(--c2)}.c3{--k:var(--c3)}.c4{--k:var(--c4)}
    .c5{--k:var(--c5)}
    .plot{position:relative;height:220px;margin:0 8px 26px 48px}
    .plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
    .plot path{fill:none;vector-effect:non-scaling-stroke}
    .grid{stroke:var(--rule);stroke-width:1}
    .line{stroke:var(--k);stroke-width:2;stroke-linejoin:round}
    .line.dash{stroke-dasharray:5 4;stroke-width:1.6}
    .bars rect{fill:var(--k)}
    .ylabels span,.xlabels span{position:absolute;font-size:.75rem;color:var(--mid);
    font-variant-numeric:tabular-nums;white-space:nowrap}
    .ylabels span{right:calc(100% + 8px);transform:translateY(-50%)}
    .xlabels span{top:calc(100% + 5px);transform:translateX(-50%)}
    .dots{list-style:none;margin:8px 0 0;padding:0;font-size:.8125rem}
    .dots li{display:grid;grid-template-columns:minmax(0,7rem) minmax(0,1fr);gap:12px;align-items:center;padding-right:14px}
    .dots li>span:first-child{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
    .dot{position:relative;height:20px}
    .dot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
    .dot path{fill:none;vector-effect:non-scaling-stroke}
    .dot i{position:absolute;top:6px;width:8px;height:8px;margin-left:-4px;border-radius:50%;
    background:var(--k)}
    .dotaxis{position:relative;height:1.2em;margin:2px 14px 0 calc(7rem + 12px);font-size:.75rem;
    color:var(--mid)}
    .dotaxis span{position:absolute;transform:translateX(-50%)}
    .contexts{list-style:none;margin:8px 0 0;padding:0}
    .contexts li{padding:8px 0;border-bottom:1px solid var(--rule)}
    .contexts mark{background:none;color:inherit;font-weight:700;border-bottom:2px solid var(--c0)}
    .contexts .small{display:block}
    .axis{margin:0 8px 0 48px;text-align:center;font-size:.75rem;color:var(--mid)}
    sup{font-size:.75em;line-height:0}
    footer{margin-top:40px;padding-block:22px 48px!important;border-top:1px solid var(--rule);
    color:var(--mid);font-size:.8125rem}
    footer p{max-width:60em}
    @media (max-width:860px){.tree>summary{grid-template-columns:1.6rem minmax(0,1fr) 3.2rem;gap:2px 10px}
    .rank{grid-row:1}.score{grid-row:1;grid-column:3}
    .strip{grid-row:2;grid-column:2/4;margin:4px 0}.meta{grid-row:3;grid-column:2/4}
    .meta span:first-child{min-width:0}
    .tree>.words,.tree>.note{margin-left:calc(1.6rem + 10px)}
    .subs{margin-left:calc(1.6rem + 12px)}
    .subs li{grid-template-columns:minmax(0,1fr);gap:0;padding-left:22px}
    .share{height:1.3em}.subs li::before{height:1.05em}
    .configuration{columns:1}}
    @media (max-width:520px){.wrap{padding:0 18px}.masthead{padding:34px 0 22px}
    .figures{grid-template-columns:1fr 1fr;gap:18px 20px}.figures dd{font-size:1.4375rem}
    main>section{padding-top:34px}.numbers th,.numbers td{padding:7px 9px;font-size:.875rem}
    .terms div,.configuration div{grid-template-columns:minmax(0,1fr);gap:0}
    .tabs button{padding:10px 10px}.filter{margin:4px 0 8px;text-align:left}}
    @media print{.sections,.search,.tabs{display:none}}
    """
