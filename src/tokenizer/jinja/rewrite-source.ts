const RAW = /(^[ \t]*)?\{%([-+]?)\s*raw\s*([-+]?)%\}([^]*?)\{%([-+]?)\s*endraw\s*([-+]?)%\}(\n?)/gm;

/** What an answer is within a template for training; blanks around it go as around every block. */
const GENERATION = /(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})/g;

/**
 * Writes what the parser does not know in its own words: `{% raw %}` as a text, `{% generation %}` as a block that is always
 * there, and the `+` that keeps what is around a tag as it is. Blocks are trimmed as transformers asks for, with `trim_blocks` and `lstrip_blocks`.
 */
export function rewriteSource(source: string): string {
  const parts: string[] = [];
  let at = 0;
  for (const match of source.matchAll(RAW)) {
    parts.push(withoutPlus(source.slice(at, match.index)), rawText(match));
    at = match.index + match[0].length;
  }
  return [...parts, withoutPlus(source.slice(at))].join("");
}

function withoutPlus(source: string): string {
  const blocks = source.replace(GENERATION, (_, open: string, end: string | undefined, close) => {
    return `${open}${end === undefined ? "if true" : "endif"}${close}`;
  });
  return blocks.replace(/\{%\+/g, "{{ '' }}{%").replace(/\+%\}/g, "%}{{ '' }}");
}

function rawText([
  ,
  indent = "",
  before,
  begin,
  text = "",
  end,
  after,
  newline = "",
]: RegExpExecArray): string {
  // What follows the tag stays, its line's end included.
  let inner = begin === "-" ? text.trimStart() : text;
  if (end === "-") inner = inner.trimEnd();
  else if (end !== "+") inner = inner.replace(/(^|\n)[ \t]*$/, "$1");
  const open = before === "-" ? "{{-" : `${before === "+" ? indent : ""}{{`;
  const close = after === "-" ? "-}}" : `}}${after === "+" ? newline : ""}`;
  return `${open} '${inner.replace(/[\\'\n\r\t]/g, escaped)}' ${close}`;
}

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(character: string): string {
  return ESCAPES[character] ?? `\\${character}`;
}
