"""The page's style sheet: light and dark, wide and narrow, screen and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfaf7; --card: #ffffff; --ink: #1c2126; --soft: #5d6770; --line: #e3e2dc;
  --sample: #17706a; --real: #b4602a; --third: #5a5fa8; --fourth: #8a8f2f; --track: #eceae4;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121518; --card: #191d21; --ink: #e7e8e5; --soft: #9aa4ab; --line: #2b3137;
    --sample: #5fc0b5; --real: #e09a63; --third: #a3a8ee; --fourth: #c5ca6a; --track: #262c31;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  -webkit-text-size-adjust: 100%;
}
main { max-width: 68rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
h1 { font-size: 2.1rem; line-height: 1.15; letter-spacing: -.02em; margin: .2rem 0 .7rem; }
h2 { font-size: 1.25rem; letter-spacing: -.01em; margin: 3.4rem 0 .3rem; }
h3 { font-size: 1rem; margin: 0 0 .6rem; }
h3 small { font-weight: 400; font-size: .88rem; margin-left: .3rem; }
p { margin: 0 0 .8rem; max-width: 44rem; }
.eyebrow {
  color: var(--soft);
  font-size: .8rem;
  letter-spacing: .08em;
  text-transform: uppercase;
  margin: 0;
}
.lead, .note { color: var(--soft); }
.note { font-size: .9rem; }
.sample { color: var(--sample); } .real { color: var(--real); }
code, .name { font-family: var(--mono); font-size: .86em; overflow-wrap: anywhere; }
img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.hero { margin: 1.6rem 0 0; }
.card {
  background: var(--card);
  border: 1px solid var(--line);
  border-radius: 10px;
  padding: 1rem 1.1rem;
}
.tiles, .charts, .gallery { display: grid; gap: 1rem; }
.tiles { grid-template-columns: repeat(4, 1fr); margin-top: 1.4rem; }
.tiles .metric { color: var(--soft); font-size: .9rem; margin: 0; }
.tiles .value {
  font-size: 1.75rem;
  font-weight: 620;
  letter-spacing: -.02em;
  line-height: 1.3;
  margin: 0;
  font-variant-numeric: tabular-nums;
  white-space: nowrap;
}
.tiles .value small {
  font-size: .95rem;
  font-weight: 450;
  letter-spacing: 0;
  color: var(--soft);
}
.tiles .baseline { font-size: .85rem; margin: 0; font-variant-numeric: tabular-nums; }
table {
  border-collapse: collapse;
  width: 100%;
  margin: .8rem 0 0;
  font-variant-numeric: tabular-nums;
}
th {
  font-weight: 550;
  font-size: .82rem;
  color: var(--soft);
  text-align: left;
  white-space: nowrap;
}
th, td {
  padding: .6rem .9rem .6rem 0;
  border-bottom: 1px solid var(--line);
  vertical-align: top;
}
th:last-child, td:last-child { padding-right: 0; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.strong { font-weight: 620; }
td .name { font-weight: 550; }
td .meaning { color: var(--soft); font-size: .88rem; margin: .15rem 0 0; }
.warning { color: var(--real); font-size: .88rem; margin: .2rem 0 0; }
.bars { columns: 22rem; column-gap: 2.4rem; margin-top: .8rem; }
.bar {
  break-inside: avoid;
  display: grid;
  grid-template-columns: 5.5rem 1fr 3.4rem;
  gap: .7rem;
  align-items: center;
  font-size: .88rem;
  line-height: 1.9;
  font-variant-numeric: tabular-nums;
}
.bar .class { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar .share { text-align: right; }
.track { position: relative; height: .7rem; border-radius: 3px; background: var(--track); }
.track .fill {
  position: absolute;
  inset: 0 auto 0 0;
  background: var(--sample);
  border-radius: 3px;
}
.track .mark {
  position: absolute;
  top: -3px;
  bottom: -3px;
  width: 2px;
  margin-left: -1px;
  background: var(--real);
}
.bar, .track .fill, .track, .track .mark, .legend i {
  print-color-adjust: exact;
  -webkit-print-color-adjust: exact;
}
.gallery {
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr));
  margin-top: 1rem;
}
.strip {
  display: grid;
  grid-template-columns: 2.6rem 1fr;
  gap: .5rem;
  align-items: center;
  margin: 0 0 5px;
  font-size: .78rem;
}
.strip:last-child { margin: 10px 0 0; }
.charts { grid-template-columns: 1fr 1fr; margin: .8rem 0 2rem; }
.chart { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif; }
.chart text { fill: var(--soft); font-variant-numeric: tabular-nums; }
.chart .end { text-anchor: end; } .chart .middle { text-anchor: middle; }
.chart path { fill: none; stroke-linejoin: round; stroke-linecap: round; }
.chart .grid { stroke: var(--line); } .chart .axis { stroke: var(--soft); stroke-opacity: .6; }
.chart .line { stroke-width: 1.8; } .chart .raw { stroke-width: 1; stroke-opacity: .28; }
.line-1 { stroke: var(--sample); background: var(--sample); }
.line-2 { stroke: var(--real); background: var(--real); }
.line-3 { stroke: var(--third); background: var(--third); }
.line-4 { stroke: var(--fourth); background: var(--fourth); }
.legend {
  display: flex;
  flex-wrap: wrap;
  gap: .2rem 1.1rem;
  color: var(--soft);
  font-size: .8rem;
  margin: .4rem 0 0 2.6rem;
}
.legend i {
  display: inline-block;
  width: .9rem;
  height: 3px;
  border-radius: 2px;
  margin-right: .4rem;
  vertical-align: middle;
}
.settings td { font-size: .86rem; padding: .25rem .9rem .25rem 0; overflow-wrap: anywhere; }
.settings td:first-child { color: var(--soft); width: 40%; min-width: 9rem; }
.settings td:last-child { font-family: var(--mono); font-size: .8rem; }
details { border-top: 1px solid var(--line); padding: .55rem 0; }
details:last-of-type { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; font-weight: 550; }
pre {
  font: .8rem/1.6 var(--mono);
  white-space: pre-wrap;
  overflow-wrap: anywhere;
  margin: .6rem 0 0;
}
footer { color: var(--soft); font-size: .85rem; margin-top: 3rem; }
@media (max-width: 52rem) {
  .tiles { grid-template-columns: 1fr 1fr; }
  .charts { grid-template-columns: 1fr; }
}
@media (max-width: 40rem) {
  main { padding: 1.6rem 1rem 3rem; }
  h1 { font-size: 1.6rem; } h2 { margin-top: 2.6rem; }
  .tiles { gap: .6rem; } .card { padding: .8rem .9rem; } .tiles .value { font-size: 1.4rem; }
  .tiles .value small { font-size: .8rem; }
  .figures thead { display: none; }
  .figures tr {
    display: grid;
    grid-template-columns: 1fr 1fr;
    border-bottom: 1px solid var(--line);
    padding: .6rem 0;
  }
  .figures td { border: 0; padding: .15rem 0; text-align: left; }
  .figures td:first-child { grid-column: 1 / -1; }
  .figures td[data-label]::before {
    content: attr(data-label) " ";
    color: var(--soft);
    font-weight: 400;
    font-size: .82rem;
  }
  .figures td.direction { display: none; }
  .gallery { grid-template-columns: 1fr; }
}
@media print {
  :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc; --track: #e8e8e8;
    --sample: #17706a; --real: #b4602a; --third: #5a5fa8; --fourth: #8a8f2f; }
  body { font-size: 10.5pt; } main { padding: 0; max-width: none; }
  .card, tr, .strip, .bar { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""
