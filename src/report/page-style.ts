/** The style sheet. Colour pairs pass WCAG AA in light and dark. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f6f6f3; --paper: #ffffff; --line: #e3e3dd; --ink: #1c2024; --quiet: #626a71; --link: #1d5f85;
  --leaked: #a8281e; --leaked-tint: #fbeae8; --suspect: #7d5200; --suspect-tint: #fdf1d8;
  --healthy: #1d6b4c; --healthy-tint: #e4f3eb; --exempt: #3b5a94; --exempt-tint: #e8eefa; --zero: #8b9298;
  --shadow: 0 1px 2px rgb(20 25 30 / .05), 0 4px 16px rgb(20 25 30 / .04);
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #13161a; --paper: #1b1f24; --line: #2c3238; --ink: #e5e8ea; --quiet: #9aa4ad; --link: #84c1e6;
    --leaked: #ff9c92; --leaked-tint: #3a1f1e; --suspect: #f0c36c; --suspect-tint: #35290f;
    --healthy: #86d3ad; --healthy-tint: #173126; --exempt: #a9c1f2; --exempt-tint: #202b42; --zero: #6f7983;
    --shadow: none;
  }
}
body.leaked { --tone: var(--leaked) }
body.suspect { --tone: var(--suspect) }
body.healthy { --tone: var(--healthy) }
* { box-sizing: border-box; margin: 0 }
[hidden] { display: none !important }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body {
  max-width: 74rem; margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem) 3rem;
  background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere;
}
a { color: var(--link); text-underline-offset: .15em }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 4px }
h1 { font-size: clamp(1.6rem, 4.5vw, 2.2rem); line-height: 1.2; font-weight: 650; letter-spacing: -.015em }
h2 { font-size: 1.05rem; font-weight: 600; margin: 2.5rem 0 .75rem }
b { font-weight: 600 }
.quiet, .process, .made, .aside, .intro { color: var(--quiet) }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.text, .stack, .legend dt, .chip { font-family: ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .88em }

.banner { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem; font-size: .87rem }
.name { font-weight: 600; font-size: .95rem }
.name::before { content: ""; display: inline-block; width: .55em; height: .55em; margin-right: .5em; border-radius: 50%; background: var(--zero) }
.live .name::before { background: var(--healthy) }
.made { margin-left: auto; font-variant-numeric: tabular-nums }
.button { margin-left: .5rem; padding: .25rem .7rem; border: 1px solid var(--line); border-radius: 6px; background: var(--paper); color: var(--ink); text-decoration: none }
.button:hover { border-color: var(--quiet) }
.news { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .5rem; margin-top: 1rem; padding: .6rem .6rem .6rem 1rem; border-radius: 8px; background: var(--exempt-tint); color: var(--exempt) }

.headline { margin: 2.5rem 0 1.75rem; padding-left: 1.1rem; border-left: 4px solid var(--tone) }
.headline p { margin-top: .4rem; max-width: 72ch }
.headline h1 { color: var(--tone) }
.aside, .intro { font-size: .87rem }
.aside::first-letter { text-transform: uppercase }
.intro { margin: -.35rem 0 .75rem; max-width: 72ch }
table + .intro { margin: .6rem 0 0 }

.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin-top: .75rem }
.card { padding: .9rem 1.1rem; border: 1px solid var(--line); border-radius: 10px; background: var(--paper); box-shadow: var(--shadow) }
.card dt { font-size: .87rem; color: var(--quiet) }
.card b { display: block; font-size: 1.9rem; line-height: 1.25; font-weight: 600; font-variant-numeric: tabular-nums; letter-spacing: -.01em }
.card span { font-size: .8rem; color: var(--quiet) }
.card.zero b { color: var(--zero); font-weight: 500 }
.card.leaked b { color: var(--leaked) }
.card.suspect b { color: var(--suspect) }
.card.exempt b, .card.stalled b { color: var(--exempt) }
.card.recovered b { color: var(--healthy) }
.small .card { display: flex; align-items: baseline; justify-content: space-between; padding: .5rem 1.1rem; background: none; box-shadow: none }
.small .card dd { text-align: right }
.small .card b { display: inline; font-size: 1.05rem; margin-right: .5em }
.small .zero b { color: var(--quiet) }

table { width: 100%; border-collapse: separate; border-spacing: 0; border: 1px solid var(--line); border-radius: 10px; background: var(--paper); box-shadow: var(--shadow) }
th, td { padding: .75rem 1rem; text-align: left; vertical-align: top; font-weight: 400 }
th.number, td.number { text-align: right }
thead th { padding-block: .55rem; font-size: .8rem; color: var(--quiet) }
tbody tr > * { border-top: 1px solid var(--line) }
.sites th { width: 45% }
.sites thead th { width: auto }
.share { display: block; width: 100%; height: 3px; margin-top: .5rem; border-radius: 2px; background: var(--line) }
.share rect { fill: var(--tone); opacity: .7 }
.trend { display: block; margin-top: .35rem; font-size: .82rem; color: var(--quiet); font-variant-numeric: tabular-nums }
.chip { display: inline-block; padding: .05rem .5rem; border-radius: 99px; background: var(--ground); border: 1px solid var(--line); white-space: nowrap }
.badge { display: inline-block; white-space: nowrap; padding: .1rem .6rem; border-radius: 99px; font-size: .82rem; font-weight: 600; background: var(--ground); color: var(--quiet) }
.badge.leaked { background: var(--leaked-tint); color: var(--leaked) }
.badge.suspect { background: var(--suspect-tint); color: var(--suspect) }
.badge.healthy, .badge.recovered { background: var(--healthy-tint); color: var(--healthy) }
.badge.exempt, .badge.stalled, .badge.reclaimed { background: var(--exempt-tint); color: var(--exempt) }
.age { display: block; margin: .3rem 0 0 .6rem; font-size: .87rem; color: var(--quiet); font-variant-numeric: tabular-nums; white-space: nowrap }
.sockets .connection { width: 18rem }
.connection span { display: block }
.connection .quiet { font-size: .87rem }
details { margin-top: .4rem }
summary { cursor: pointer; color: var(--quiet) }
.sockets details dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .6rem 0 .2rem; font-size: .87rem }
.sockets details dt { color: var(--quiet) }
.stack { padding: 0; list-style: none }
.pairs { padding: 0; list-style: none; border: 1px solid var(--line); border-radius: 10px; background: var(--paper); box-shadow: var(--shadow) }
.pairs li { padding: .75rem 1rem; overflow-wrap: anywhere }
.pairs li + li { border-top: 1px solid var(--line) }
.nothing { margin-top: 2.5rem; padding: 2.5rem 1rem; border: 1px dashed var(--line); border-radius: 10px; text-align: center; color: var(--quiet) }
.paging { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin-top: 1rem; font-size: .9rem }
footer { margin-top: 3rem; padding-top: 1.25rem; border-top: 1px solid var(--line); font-size: .87rem; color: var(--quiet) }
footer p { margin-top: .75rem }
.legend { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: .75rem 0 0 }
.legend dt { color: var(--ink) }

@media (max-width: 46rem) {
  .made { margin-left: 0 }
  .cards { grid-template-columns: 1fr 1fr }
  .small { grid-template-columns: 1fr; gap: .4rem }
  table, tbody, tr, th, td { display: block; width: auto }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  tbody tr { padding: .75rem 1rem; border-top: 1px solid var(--line) }
  tbody tr:first-child { border-top: 0 }
  tbody tr > * { padding: .15rem 0; border: 0 }
  .sites th, .sockets .connection { width: auto }
  td.number { text-align: left }
  td[data-name]::before { content: attr(data-name) " "; color: var(--quiet); font-size: .87rem }
  .sites td.number, .ports td.number, .healed td.number { display: inline-block; margin-right: 1.5rem }
  .verdict { display: flex; align-items: baseline; gap: .6rem }
  .age { margin: 0 }
  .legend, .sockets details dl { grid-template-columns: 1fr; gap: 0 }
  .legend dd, .sockets details dd { margin-bottom: .5rem }
}
@media print {
  body { background: none; max-width: none; padding: 0 }
  .button, .paging, footer p { display: none }
}
`

export const PAGE_ICON =
  'data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22%3E' +
  '%3Ccircle cx=%228%22 cy=%228%22 r=%225.5%22 fill=%22none%22 stroke=%22%23357a6b%22 stroke-width=%223%22 ' +
  'stroke-dasharray=%2228 7%22 stroke-linecap=%22round%22/%3E%3C/svg%3E'
