/**
 * The look of a page, light or dark as the reader's system is. Pictures are drawn in the colour of the text;
 * images of shares, which are dark on white, are turned round on a dark page.
 */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --soft: #595959; --line: #e2e2e2; --stripe: #f3f6f9; --link: #0a58ca }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e4; --paper: #16181b; --soft: #a8a8a8; --line: #34383d; --stripe: #202429; --link: #8ab4f8 }
  figure image { filter: invert(1) hue-rotate(180deg) }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto; max-width: 84rem; padding: 0 1rem; overflow-wrap: break-word }
h1 { font-size: 1.5rem; line-height: 1.25 } h2 { font-size: 1.2rem; margin-top: 2.5rem; scroll-margin-top: 1rem } h3 { font-size: 1rem; margin: 1.5rem 0 0.5rem }
a { color: var(--link) } a.term { color: inherit; text-decoration: underline dotted var(--soft); text-underline-offset: 0.2em }
code { font-size: 0.9em; background: var(--stripe); padding: 0.1em 0.3em; border-radius: 3px }
.made { color: var(--soft); font-size: 0.85rem }
nav ul { columns: 20rem; padding-left: 1.2rem; margin: 0.5rem 0 }
dt { font-weight: 600; scroll-margin-top: 1rem } dt:target { background: var(--stripe) } dd { margin: 0 0 0.6rem; max-width: 46rem }
.wide { overflow-x: auto; max-width: 100% }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.85rem }
th, td { padding: 0.25rem 0.7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th { white-space: normal; vertical-align: bottom; min-width: 3rem }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper) }
tbody tr:hover td { background: var(--stripe) }
.charts { display: flex; flex-wrap: wrap; gap: 1.5rem 2rem; align-items: flex-start; margin-top: 1.5rem }
figure { margin: 0; min-width: 0; max-width: 100% } figcaption { color: var(--soft); font-size: 0.85rem; max-width: 40rem }
figure svg { display: block; background: none !important; color: var(--ink) } figure .paper { fill: none }
@media (max-width: 40rem) { figure svg { max-width: none } }
@media print { nav { display: none } figure, tr { break-inside: avoid } }`;
