/** @file Text of tokens that come one by one: what is whole is given out, the rest is held back. */
import type { Tokenizer } from './tokenizer.ts'

/** Turns tokens into text as they come. */
export interface TextStream {
  /** Text that has become whole with this token; may be empty. */
  push(id: number): string
  /** What was held back: bytes that never became characters, as U+FFFD. */
  end(): string
}

/** A stream for one text. All it gives out, put together, is what `tokenizer.decode` gives for all the ids. */
export function createTextStream(tokenizer: Tokenizer): TextStream {
  const { tokenBytes } = tokenizer
  if (tokenBytes !== undefined) {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    return {
      push: (id) => decoder.decode(tokenBytes(id), { stream: true }),
      end: () => decoder.decode(),
    }
  }
  // The text of a token may depend on the one before it (leading spaces, bytes that make up a character), so that
  // the last whole stretch is decoded with the new one, and what it alone gave is taken off.
  let stretch: number[] = []
  let given = ''
  return {
    push(id) {
      stretch.push(id)
      const text = tokenizer.decode(stretch)
      if (text.endsWith('\ufffd') || text.length <= given.length) return ''
      const fresh = text.slice(given.length)
      stretch = stretch.slice(-KEPT)
      given = tokenizer.decode(stretch)
      return fresh
    },
    end() {
      const rest = tokenizer.decode(stretch).slice(given.length)
      stretch = []
      given = ''
      return rest
    },
  }
}

/** Tokens kept as context for the next: as many as a character may be made of, and one. */
const KEPT = 5
