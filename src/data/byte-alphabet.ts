/** @file The byte alphabet of byte-level BPE: one printable character for each of the 256 bytes, as in GPT-2. */

/** Bytes that stand for themselves: the printable Latin-1 characters, without space and soft hyphen. */
function standsForItself(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)
}

/** The character of each byte: itself, or the next free code point from U+0100 on. */
export const BYTE_TO_CHARACTER: readonly string[] = (() => {
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(standsForItself(byte) ? byte : next++))
})()

/** The byte of each character of the alphabet. */
export const CHARACTER_TO_BYTE: ReadonlyMap<string, number> = new Map(
  BYTE_TO_CHARACTER.map((character, byte) => [character, byte]),
)

/** The bytes in the order of their characters: the order in which trainers number the alphabet. */
export const ALPHABET_BYTES: readonly number[] = Array.from({ length: 256 }, (_, byte) => byte).sort(
  (a, b) => BYTE_TO_CHARACTER[a]!.charCodeAt(0) - BYTE_TO_CHARACTER[b]!.charCodeAt(0),
)

/** Bytes as characters of the alphabet. */
export function toAlphabet(bytes: Uint8Array, start = 0, end = bytes.length): string {
  let text = ''
  for (let i = start; i < end; i++) text += BYTE_TO_CHARACTER[bytes[i]!]
  return text
}

/** The bytes that `text` spells in the alphabet, or null when a character is not of the alphabet. */
export function fromAlphabet(text: string): Uint8Array | null {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const byte = CHARACTER_TO_BYTE.get(text[i]!)
    if (byte === undefined) return null
    bytes[i] = byte
  }
  return bytes
}
