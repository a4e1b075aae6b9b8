/** @file JSON from elsewhere: strict about what `JSON.parse` passes over. */

/** Thrown for text that is not JSON or names a key twice; the message says which and where. */
export class JsonError extends Error {}

/** Parses JSON text; unlike `JSON.parse`, an object that names a key twice is an error. */
export function parseJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new JsonError(`is not valid JSON (${quote((error as Error).message, 120)})`)
  }
  const twice = findRepeatedKey(text)
  if (twice !== undefined) throw new JsonError(`names ${quote(twice)} twice`)
  return value
}

/** The first key that an object of this valid JSON text names twice. */
function findRepeatedKey(text: string): string | undefined {
  const open: (Set<string> | null)[] = [] // keys of each open object, null for an array
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '{') open.push(new Set())
    else if (char === '[') open.push(null)
    else if (char === '}' || char === ']') open.pop()
    else if (char === '"') {
      const begin = at++
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
      let next = at + 1
      while (text[next] === ' ' || text[next] === '\n' || text[next] === '\r' || text[next] === '\t') next++
      if (text[next] !== ':') continue
      const literal = text.slice(begin, at + 1)
      const key: string = literal.includes('\\') ? JSON.parse(literal) : literal.slice(1, -1)
      const keys = open.at(-1)!
      if (keys.has(key)) return key
      keys.add(key)
    }
  }
  return undefined
}

/** True for a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A name out of a file, safe to print: in quotes, control characters escaped, cut when long. */
export function quote(text: string, most = 80): string {
  return JSON.stringify(text.length > most ? `${text.slice(0, most)}…` : text)
}
