/** @file The look of a report: plain, light and dark, and on paper. */

export const STYLE = `
:root{color-scheme:light dark;--page:#fff;--ink:#16181d;--soft:#5c6370;--line:#e3e6ea;--card:#f6f7f9;--a:#2459c9;--b:#c2570c;--c:#0d7a5f;--good:#0d7a4a;--bad:#b3261e;--wait:#8a5a00}
@media(prefers-color-scheme:dark){:root{--page:#101216;--ink:#e8eaee;--soft:#9aa3b0;--line:#2a2f37;--card:#181b21;--a:#7aa5ff;--b:#f5a05c;--c:#4fc9a4;--good:#5fd39a;--bad:#ff8a80;--wait:#f0c060}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1080px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:28px;line-height:1.2;margin:0;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:17px;margin:44px 0 14px;letter-spacing:-.005em}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 14px}
header p{flex-basis:100%;margin:6px 0 0;color:var(--soft)}
.state{font-size:13px;font-weight:600;color:var(--wait)}.state.finished{color:var(--good)}.state.failed{color:var(--bad)}
.alert{border-left:3px solid var(--bad);padding:6px 14px;margin:18px 0 0;background:var(--card);overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);margin:28px 0 0;padding:0;border:1px solid var(--line);border-radius:10px;overflow:hidden}
.tiles div{padding:14px 18px;box-shadow:1px 1px 0 var(--line)}
.tiles dt{color:var(--soft);font-size:13px}.tiles dd{margin:2px 0 0;font-size:22px;font-weight:600;letter-spacing:-.01em}
.tiles small{display:block;font-size:12.5px;font-weight:400;color:var(--soft);letter-spacing:0}
.chart{margin:0;min-width:0}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(380px,1fr));gap:32px 36px;margin-top:28px}
figcaption{margin-bottom:12px}figcaption span{color:var(--soft);font-size:13px}.legend{margin-left:10px;white-space:nowrap}
.key{display:inline-block;width:14px;height:0;border-top:2px solid;margin:0 5px 3px 8px;vertical-align:middle}
.key.faint{opacity:.45}.key.dots{width:7px;height:7px;border:0;border-radius:50%;background:currentColor;margin-bottom:2px}
.a{color:var(--a)}.b{color:var(--b)}.c{color:var(--c)}
.plot{position:relative;height:150px;margin:0 20px 26px 52px;border-radius:3px;touch-action:pan-y}.tall .plot{height:320px}
.plot:focus-visible{outline:2px solid var(--a);outline-offset:6px}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot path{fill:none;stroke:currentColor;stroke-width:1.75;stroke-linejoin:round;stroke-linecap:round;vector-effect:non-scaling-stroke}
.plot path.faint{stroke-width:1;opacity:.35}.plot path.dots{stroke-width:1;opacity:.6}.plot path.points{stroke-width:6.5}
.plot hr{position:absolute;left:0;right:0;margin:0;border:0;border-top:1px solid var(--line)}
.plot span{position:absolute;font-size:12px;line-height:1;color:var(--soft);white-space:nowrap}
.plot .y{right:100%;margin:-6px 9px 0 0}.plot .x{top:100%;margin-top:9px;transform:translateX(-50%)}
.cross{position:absolute;top:0;bottom:0;width:0;border-left:1px solid var(--soft);pointer-events:none}
.readout{display:block;min-height:1.5em;margin-left:52px;font-size:13px;color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:7px 16px 7px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{font-weight:400;color:var(--soft);width:190px}thead th{width:auto;font-size:13px}td.n,th.n{text-align:right;white-space:nowrap}
td small{color:var(--soft);font-size:12.5px}.v{white-space:nowrap;color:var(--wait)}.v.pass{color:var(--good)}.v.fail{color:var(--bad)}.v.not-applicable{color:var(--soft)}
.sample{margin:0 0 14px;padding:14px 18px;background:var(--card);border-radius:8px;font:15px/1.6 ui-serif,Georgia,"Times New Roman",serif;white-space:pre-wrap;overflow-wrap:anywhere}
details{margin:0 0 10px}summary{cursor:pointer;color:var(--soft);padding:4px 0}summary:focus-visible{outline:2px solid var(--a);outline-offset:2px;border-radius:3px}details[open] summary{margin-bottom:8px}
pre{margin:0;padding:16px 18px;background:var(--card);border-radius:8px;font:13px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-x:auto}
footer{margin-top:48px;padding-top:14px;border-top:1px solid var(--line);color:var(--soft);font-size:13px}
@media(max-width:860px){.charts{grid-template-columns:1fr}}
@media(max-width:640px){.tiles{grid-template-columns:1fr 1fr}}
@media(max-width:560px){main{padding:24px 16px 48px}h1{font-size:23px}th{width:118px}.tall .plot{height:240px}.legend{display:block;margin:2px 0 0 -8px}}
@media print{:root{--page:#fff;--ink:#000;--soft:#555;--line:#ccc;--card:#f4f4f4;--a:#2459c9;--b:#c2570c;--c:#0d7a5f;--good:#0d7a4a;--bad:#b3261e;--wait:#8a5a00}main{max-width:none;padding:0}body{font-size:11pt}.chart,.tiles,.sample,tr{break-inside:avoid}h2{break-after:avoid}pre{white-space:pre-wrap}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`
