// The explorer's own style, after the shared one.

#if Explorer
import HSAEHTML

let explorerStyle =
  sharedStyle + """
    :root{color-scheme:light dark;--glow:13 106 95}
    @media (prefers-color-scheme:dark){:root{--glow:95 196 178}}
    .bar{position:sticky;top:0;z-index:5;display:flex;flex-wrap:wrap;gap:4px 22px;align-items:center;
    padding:8px 28px;background:color-mix(in srgb,var(--paper) 94%,transparent);backdrop-filter:blur(6px);
    border-bottom:1px solid var(--rule)}
    .brand{font:600 1.125rem var(--serif);text-decoration:none;color:var(--ink)}
    .sections{display:flex;gap:18px;flex-wrap:wrap}
    .sections a{font-size:.9375rem;color:var(--mid);text-decoration:none;padding:4px 0;
    border-bottom:2px solid transparent}
    .sections a:hover,.sections a[aria-current]{color:var(--c0)}
    .sections a[aria-current]{border-color:var(--c0)}
    .find{margin-left:auto}
    input,select,textarea,button{font:inherit;color:var(--ink)}
    input[type=search],input[type=number],.steering input[name=latent],.labelling input,textarea,select{background:var(--card);border:1px solid var(--hush);
    border-radius:6px;padding:6px 10px}
    button{background:var(--c0);color:var(--paper);border:0;border-radius:6px;padding:7px 14px;cursor:pointer}
    main{max-width:1180px;margin:0 auto;padding:26px 28px 60px}
    .runs{font-size:.875rem;margin-bottom:18px;display:flex;gap:4px 16px;flex-wrap:wrap}
    .runs a{color:var(--mid);overflow-wrap:anywhere}.runs a[aria-current]{color:var(--ink);font-weight:600;
    text-decoration:none}
    .kicker{margin:0 0 6px;color:var(--mid);font-size:.875rem}
    h1{margin:0 0 6px;font:500 clamp(1.7rem,4vw,2.5rem)/1.12 var(--serif);letter-spacing:-.01em;
    overflow-wrap:anywhere}
    h2{margin:30px 0 10px;font:500 1.375rem/1.25 var(--serif)}
    h3{margin:18px 0 6px;font:600 .9375rem/1.4 var(--sans)}
    h4{margin:0 0 4px;font:600 .8125rem var(--sans);color:var(--mid)}
    .lead{margin:0 0 16px;max-width:46em}
    .source,.count{font-size:.8125rem;color:var(--mid)}
    .figures{gap:16px 28px;margin:22px 0}
    .figures div{padding-top:8px}
    .figures dd{font:500 1.5rem/1.25 var(--serif);font-variant-numeric:tabular-nums}
    .card{padding:14px 18px;list-style:none}
    .card h2,.card h3{margin:0 0 6px}
    .cards,.trees{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:16px;
    padding:0;margin:0}
    .split{display:grid;grid-template-columns:minmax(0,1fr) 300px;gap:0 44px}
    @media (max-width:900px){.split{grid-template-columns:minmax(0,1fr)}}
    .latent{text-decoration:none;color:var(--ink)}
    .latent:hover .words{color:var(--c0);text-decoration:underline;text-underline-offset:3px;
    text-decoration-thickness:1px}
    .number{font:600 .75rem var(--sans);color:var(--c0);font-variant-numeric:tabular-nums;
    border:1px solid var(--rule);border-radius:4px;padding:1px 5px;margin-right:3px;white-space:nowrap}
    .words{font-size:1.0625em}
    .words bdi{margin-right:.45em;overflow-wrap:anywhere}
    .label{font-family:var(--sans);background:var(--tint);border-radius:4px;padding:1px 7px}
    .subs,.plainlist{list-style:none;margin:0;padding:0}
    .subs li{display:grid;grid-template-columns:3.4rem minmax(0,1fr);gap:10px;padding:4px 0;line-height:1.5}
    .plainlist li{padding:6px 0}
    .share{font-size:.8125rem;color:var(--mid);text-align:right;font-variant-numeric:tabular-nums;
    padding-top:2px}
    .tree h3{font-size:1.0625rem}.tree .subs li{grid-template-columns:3.2rem minmax(0,1fr)}
    .tree .subs{border-left:1px solid var(--rule);margin-left:10px;font-size:.9375rem}
    .contexts{list-style:none;margin:0;padding:0}
    .contexts li{display:grid;grid-template-columns:3.2rem minmax(0,1fr);gap:2px 10px;padding:8px 0;
    border-bottom:1px solid var(--rule)}
    .contexts li:last-child{border:0}
    .code{font-size:.8125rem;color:var(--mid);font-variant-numeric:tabular-nums;text-align:right;
    padding-top:3px}
    .text{margin:0;font:1rem/1.6 var(--serif);overflow-wrap:anywhere;white-space:pre-wrap}
    .source{grid-column:2}
    mark{color:inherit;background:none;font-weight:700;border-bottom:2px solid var(--c0)}
    .s1{background:rgb(var(--glow)/.05)}.s2{background:rgb(var(--glow)/.1)}
    .s3{background:rgb(var(--glow)/.15)}.s4{background:rgb(var(--glow)/.2)}
    .s5{background:rgb(var(--glow)/.25)}.s6{background:rgb(var(--glow)/.31)}
    .s7{background:rgb(var(--glow)/.37)}.s8{background:rgb(var(--glow)/.43)}
    .s9{background:rgb(var(--glow)/.5)}
    .text .s6,.text .s7,.text .s8,.text .s9{font-weight:700}
    details{margin:10px 0}
    summary{cursor:pointer;color:var(--c0);font-size:.9375rem}
    .effects{display:grid;grid-template-columns:1fr 1fr;gap:16px}
    .effects ol{list-style:none;margin:0;padding:0;font-family:var(--serif)}
    .effects li{display:flex;justify-content:space-between;gap:8px;padding:1px 0}
    .effects bdi{overflow-wrap:anywhere}
    .effects span{font:.75rem/2 var(--sans);color:var(--mid);font-variant-numeric:tabular-nums}
    .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr));gap:30px}
    .bars{margin:20px 0 6px;min-width:0}.charts .bars{margin-top:0}
    .bars figcaption{font-weight:600;font-size:.875rem;margin-bottom:8px}
    .bars svg{display:block;width:100%;height:120px;border-bottom:1px solid var(--rule)}
    .bars rect{fill:var(--c0)}
    .ticks{display:flex;justify-content:space-between;font-size:.75rem;color:var(--mid);
    font-variant-numeric:tabular-nums}
    .filters{display:flex;flex-wrap:wrap;gap:10px 18px;align-items:end;margin:14px 0}
    .filters label{font-size:.8125rem;color:var(--mid);display:grid;gap:3px}
    .filters .wide{flex:1 1 18rem}
    .check{display:inline-flex!important;gap:6px;align-items:center;font-size:.875rem;color:var(--mid)}
    .check input{accent-color:var(--c0)}
    .latents{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
    .latents th,.latents td{padding:7px 10px;border-bottom:1px solid var(--rule);text-align:right;
    white-space:nowrap}
    .latents thead th{font-size:.8125rem;color:var(--mid);font-weight:600}
    .latents th:first-child,.latents tbody th{text-align:left;font-weight:400;white-space:normal;
    min-width:13rem}
    .latents.pairs :is(th,td){text-align:left;white-space:normal;min-width:3.5rem;vertical-align:baseline}
    .pager{display:flex;gap:24px;margin:16px 0}
    .labelling{display:flex;flex-wrap:wrap;gap:8px;align-items:center;font-size:.875rem;color:var(--mid)}
    .labelling+.labelling{margin-top:8px}.labelling input{min-width:min(22rem,60vw)}
    .typing textarea{width:100%;font:1.0625rem/1.5 var(--serif)}
    .typing div{display:flex;flex-wrap:wrap;gap:8px 18px;align-items:center;margin:8px 0}
    .card[id]{scroll-margin-top:5.5rem}.card:target{border-color:var(--c0)}
    .filters input,.filters select{font-size:.9375rem}
    .steering input[name=latent]{width:11rem}
    .steering input[type=number]{width:6.5rem}
    .pair{display:flex;gap:10px;align-items:center}.pair input[type=range]{width:min(16rem,48vw);accent-color:var(--c0)}
    .prompt{color:var(--mid)}
    .columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:0 40px}
    .column{min-width:0}
    .tokens{font:1.125rem/1.9 var(--serif);white-space:pre-wrap;overflow-wrap:anywhere;margin:0}
    .token{position:relative;cursor:pointer;border-radius:3px;padding:2px 0}
    .token.current{outline:2px solid var(--c0)}
    .token:has(:focus-visible){outline:3px solid var(--c0);outline-offset:1px}
    .active{list-style:none;margin:0;padding:0}
    .active li{display:grid;grid-template-columns:60px 3rem minmax(0,1fr);gap:2px 10px;padding:6px 0;
    border-top:1px solid var(--rule)}
    .meter{padding-top:8px}.meter i{display:block;height:7px;background:var(--c0);border-radius:3px;
    min-width:2px}
    .chosen{grid-column:2/4;display:grid;grid-template-columns:3rem minmax(0,1fr);gap:10px;padding-left:14px;
    border-left:1px solid var(--hush);margin-left:6px}
    .faint :is(.latent,.number,.label){color:var(--mid)}
    .link{background:none;color:var(--c0);padding:2px 4px;font-size:.8125rem;text-decoration:underline;border-radius:3px}
    .latents .contexts{margin-top:4px}.latents thead a{color:inherit;text-decoration:none}th[aria-sort=descending] a::after{content:" ▾"}th[aria-sort=ascending] a::after{content:" ▴"}.latents thead a:hover{color:var(--c0);text-decoration:underline}
    .legend i{display:inline-block;width:1.4em;height:.9em;vertical-align:middle}.legend{margin:0 0 4px}.also{color:var(--mid);white-space:nowrap}
    .go{display:flex;flex-wrap:wrap;gap:6px 18px;align-items:center;font-size:.875rem;margin:10px 0}.go form{display:flex;gap:6px}
    .go input{width:6rem;background:var(--card);border:1px solid var(--hush);border-radius:6px;padding:6px 10px}
    .further{margin-top:14px}h2[id]{scroll-margin-top:5.5rem}.filters select{max-width:15rem}
    body:has(#values:checked) .text [title]::after{content:attr(title);margin:0 .4em;vertical-align:super;font:.6875rem var(--sans);color:var(--mid)}
    @media (max-width:600px){.latents:not(.pairs),.latents:not(.pairs) tbody{display:block}.latents:not(.pairs) thead{display:none}
    .latents:not(.pairs) tbody tr{display:flex;flex-wrap:wrap;gap:2px 14px;padding:8px 0;border-bottom:1px solid var(--rule)}
    .latents:not(.pairs) tbody :is(th,td){border:0;padding:0;min-width:0}.latents:not(.pairs) tbody th{flex:1 0 100%}
    .latents:not(.pairs) td{font-size:.8125rem}.latents:not(.pairs) td::before{content:attr(data-name) " ";color:var(--mid)}
    .latents:not(.pairs) td.sorted{font-weight:600}
    .latents.pairs,.pairs tbody{display:block}.pairs thead{display:none}
    .pairs tbody tr{display:grid;grid-template-columns:3rem minmax(0,1fr);padding:7px 0;border-bottom:1px solid var(--rule)}
    .latents.pairs tbody :is(th,td){border:0;padding:2px 0;min-width:0}.pairs tbody td:first-child{grid-row:1/3}
    .card[id]{scroll-margin-top:7rem}main{padding:18px 16px 48px}.bar{padding:8px 16px}.find{margin-left:0;width:100%}
    .find input{width:100%}.active li{grid-template-columns:30px 3rem minmax(0,1fr)}}
    """
#endif
