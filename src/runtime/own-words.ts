/** @file What ONNX Runtime says of a failure, without the places of its own source. */

/** A place in C++: `/build/x/webgpu_context.cc:136`. */
const PLACE = String.raw`\S*\.(?:cc|cpp|cxx|cu|h|hpp):\d+`

/**
 * The message on one line without files, functions and conditions of the library's source, which tell its makers where
 * and nobody else anything. All of it where nothing else is left.
 */
export function ownWords(message: string): string {
  const text = oneLine(message)
  let rest = text.replaceAll(new RegExp(String.raw`,?\s*\bat [^()]*(?:\(\)[^()]*)?\(${PLACE}\)`, 'g'), '')
  for (;;) {
    const place = new RegExp(`(^|[\\s(])${PLACE},?\\s*`).exec(rest)
    if (place === null) break
    const before = rest.slice(0, place.index) + place[1]
    rest = before + withoutFunction(rest.slice(place.index + place[0].length))
  }
  const words = oneLine(rest)
  return words === '' ? text : words
}

/** What follows the function that a place is in, and the condition that did not hold there. */
function withoutFunction(text: string): string {
  const [, after] = /^.*? was false\.?\s*(.*)$/s.exec(text) ?? []
  if (after !== undefined) return after
  let at = text.indexOf('(')
  if (at < 0) return text
  // a name goes on behind its brackets: f() const, f()::<lambda(int)>, f()::operator()(int) [with T = int]
  for (let more = ''; ; at += more.length) {
    if (text[at] === '(') at = closingOf(text, at)
    more = /^(?:::[\w~<]*|>| const\b| \[with [^\]]*\])/.exec(text.slice(at))?.[0] ?? ''
    if (more === '' && text[at] !== '(') return text.slice(at)
  }
}

/** Where what follows the bracket at `from` and all in it begins. */
function closingOf(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    if (text[at] === '(') depth++
    if (text[at] === ')' && --depth === 0) return at + 1
  }
  return text.length
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
