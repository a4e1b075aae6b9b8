/** @file Finds added tokens (`<|endoftext|>` and its like) inside text: the leftmost first, of those the longest. */

/** A piece of text, or the id of an added token. */
export type Piece = string | number

/** Cuts text at added tokens. Text between them comes as it is; empty pieces are left out. */
export type AddedTokenSplitter = (text: string) => Piece[]

/** A splitter for tokens by content. Null when there are none. */
export function createAddedTokenSplitter(tokens: ReadonlyMap<string, number>): AddedTokenSplitter | null {
  const contents = [...tokens.keys()].filter((content) => content !== '')
  if (contents.length === 0) return null
  // Longest first: of the alternatives that match at one place a regular expression takes the first.
  contents.sort((a, b) => b.length - a.length)
  const pattern = contents.map((content) => content.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|')
  const expression = new RegExp(pattern, 'g')
  return (text) => {
    const pieces: Piece[] = []
    let start = 0
    for (const match of text.matchAll(expression)) {
      if (match.index > start) pieces.push(text.slice(start, match.index))
      pieces.push(tokens.get(match[0])!)
      start = match.index + match[0].length
    }
    if (start < text.length) pieces.push(start === 0 ? text : text.slice(start))
    return pieces
  }
}
