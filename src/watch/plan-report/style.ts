/** @file The look of what only reports of plans have: bars by term, timelines, scatter plots. */

const LIGHT =
  '--k1:#2459c9;--k2:#8fb0f2;--k3:#0d7a5f;--k4:#6cc0a5;--k5:#8244b8;--k6:#d0680f;--k7:#b9bfc9;--k8:#d8a520;--k9:#b3261e;--k10:#6b7280'
const DARK =
  '--k1:#6f9dff;--k2:#3f5fa8;--k3:#3fbf98;--k4:#1f7a62;--k5:#b68cf0;--k6:#f5a05c;--k7:#4a515c;--k8:#e8c35a;--k9:#ff8a80;--k10:#8a93a0'

export const PLAN_STYLE = `
:root{${LIGHT}}
@media(prefers-color-scheme:dark){:root{${DARK}}}
${Array.from({ length: 10 }, (_, i) => `.k${i + 1}{fill:var(--k${i + 1});background:var(--k${i + 1})}`).join('')}
.numbers td.layout{font-size:12px;min-width:170px;overflow-wrap:normal}.numbers td.n{white-space:nowrap}
.layout{font:14px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.swatch{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px;vertical-align:baseline}
.terms{display:flex;flex-wrap:wrap;gap:2px 16px;margin:0 0 12px;padding:0;list-style:none;font-size:13px;color:var(--soft)}
.bars{display:grid;grid-template-columns:max-content minmax(0,1fr) max-content;gap:5px 12px;align-items:center;font-size:13px}
.bars .name{color:var(--soft);max-width:330px;overflow-wrap:anywhere}.bars .sum{text-align:right;white-space:nowrap}.bars .over{color:var(--bad);font-weight:600}
.bars svg{display:block;width:100%;height:20px;overflow:visible}
.bars .grid{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke}
.bars .limit{stroke:var(--bad);stroke-width:2;vector-effect:non-scaling-stroke}
.bars .axis{position:relative;height:20px;font-size:12px;color:var(--soft)}.bars .axis span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.bars .axis.limited{height:38px}.bars .axis .at-limit{top:18px;color:var(--bad);font-weight:600}.bars .axis .at-end{transform:translateX(-100%)}
.numbers{overflow-x:auto;margin-top:16px}.numbers table{font-size:13px}.numbers th,.numbers td{padding:4px 12px 4px 0;overflow-wrap:normal}.numbers thead th{white-space:nowrap;vertical-align:bottom}
.numbers tbody th{width:auto;white-space:nowrap}.numbers td.bound{width:auto;min-width:130px}
.drawing{overflow-x:auto}.drawing svg{display:block;width:100%;min-width:720px;height:auto}
.drawing text{fill:var(--soft);font-size:12px;font-family:inherit}.drawing text.on{fill:#fff;font-size:10px;text-anchor:middle}
.drawing .ground{fill:var(--card)}.drawing .tick{stroke:var(--line)}.drawing .point{fill:var(--a)}.drawing .curve{fill:none;stroke:var(--a);stroke-width:1.75}.drawing .band{stroke:var(--a);stroke-width:1.5;opacity:.45}.drawing .best{fill:var(--b)}
.drawing .ink{fill:var(--ink)}
.forward{fill:#2459c9}.backward{fill:#0d7a5f}.weight{fill:#b8651b}.later{opacity:.72}
.note{color:var(--soft);font-size:13px;margin:8px 0 0}
.swatch.forward{background:#2459c9}.swatch.backward{background:#0d7a5f}.swatch.weight{background:#b8651b}
@media(max-width:640px){.bars{grid-template-columns:minmax(0,1fr) max-content}.bars .name{max-width:none}.bars .name,.bars .axis{grid-column:1/-1}}
@media print{:root{${LIGHT}}.bars,.drawing{break-inside:avoid}}
`
