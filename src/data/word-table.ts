/** @file A set of words, each with a number, over flat memory: the cache of the encoder, the counter of the trainer. */

/** Words are runs of UTF-16 units; they are numbered 0, 1, 2 in the order of arrival. */
export interface WordTable {
  /** Number of words. */
  readonly size: number
  /** UTF-16 units that the words hold together. */
  readonly unitCount: number
  /** The number of the word, which is added when it is new: then the number equals the size before. */
  intern(units: Uint16Array, start: number, end: number): number
  /** The units of a word, as a view that holds until the next `intern`. */
  word(index: number): Uint16Array
  clear(): void
}

/** A word table that grows as needed. `capacity` is the number of words to make room for at first. */
export function createWordTable(capacity = 1 << 12): WordTable {
  let slots = new Int32Array(nextPowerOfTwo(capacity * 2)).fill(-1)
  let hashes = new Int32Array(capacity)
  let starts = new Int32Array(capacity + 1) // word i is arena[starts[i] .. starts[i + 1])
  let arena = new Uint16Array(capacity * 8)
  let size = 0

  function grow(): void {
    hashes = resized(hashes, Int32Array, hashes.length * 2)
    starts = resized(starts, Int32Array, hashes.length + 1)
    slots = new Int32Array(slots.length * 2).fill(-1)
    const mask = slots.length - 1
    for (let index = 0; index < size; index++) {
      let slot = hashes[index]! & mask
      while (slots[slot] !== -1) slot = (slot + 1) & mask
      slots[slot] = index
    }
  }

  return {
    get size() {
      return size
    },
    get unitCount() {
      return starts[size]!
    },
    intern(units, start, end) {
      let hash = 0
      for (let i = start; i < end; i++) hash = Math.imul(hash ^ units[i]!, 0x01000193)
      hash ^= hash >>> 15
      const length = end - start
      const mask = slots.length - 1
      let slot = hash & mask
      for (;;) {
        const index = slots[slot]!
        if (index === -1) break
        if (hashes[index] === hash) {
          const at = starts[index]!
          if (starts[index + 1]! - at === length) {
            let i = 0
            while (i < length && arena[at + i] === units[start + i]) i++
            if (i === length) return index
          }
        }
        slot = (slot + 1) & mask
      }
      if (size === hashes.length) {
        grow()
        const wide = slots.length - 1
        slot = hash & wide
        while (slots[slot] !== -1) slot = (slot + 1) & wide
      }
      const at = starts[size]!
      if (at + length > arena.length)
        arena = resized(arena, Uint16Array, Math.max(arena.length * 2, at + length))
      for (let i = 0; i < length; i++) arena[at + i] = units[start + i]!
      slots[slot] = size
      hashes[size] = hash
      starts[size + 1] = at + length
      return size++
    },
    word: (index) => arena.subarray(starts[index]!, starts[index + 1]!),
    clear() {
      slots.fill(-1)
      size = 0
    },
  }
}

function nextPowerOfTwo(n: number): number {
  let power = 16
  while (power < n) power *= 2
  return power
}

/** A copy of a typed array with more room. */
export function resized<T extends Int32Array | Uint16Array | Float64Array>(
  array: T,
  create: new (length: number) => T,
  length: number,
): T {
  const copy = new create(length)
  copy.set(array.subarray(0, Math.min(array.length, length)) as T)
  return copy
}

/** Text as UTF-16 units in a buffer that is used again and again: valid until the next call. */
export function createUnitBuffer(): (text: string) => Uint16Array {
  let buffer = Buffer.alloc(1 << 14)
  return (text) => {
    if (text.length * 2 > buffer.length) buffer = Buffer.alloc(text.length * 3)
    buffer.write(text, 'utf16le')
    return new Uint16Array(buffer.buffer, buffer.byteOffset, text.length)
  }
}

/** Writes units as UTF-8 from `bytes[0]` on and returns the number of bytes. A lone surrogate becomes U+FFFD. */
export function unitsToUtf8(units: Uint16Array, start: number, end: number, bytes: Uint8Array): number {
  let n = 0
  for (let i = start; i < end; i++) {
    let point = units[i]!
    if (point < 0x80) {
      bytes[n++] = point
      continue
    }
    if (point < 0x800) {
      bytes[n++] = 0xc0 | (point >> 6)
      bytes[n++] = 0x80 | (point & 0x3f)
      continue
    }
    if ((point & 0xf800) === 0xd800) {
      const low = i + 1 < end ? units[i + 1]! : 0
      if (point < 0xdc00 && (low & 0xfc00) === 0xdc00) {
        i++
        point = 0x10000 + ((point & 0x3ff) << 10) + (low & 0x3ff)
        bytes[n++] = 0xf0 | (point >> 18)
        bytes[n++] = 0x80 | ((point >> 12) & 0x3f)
        bytes[n++] = 0x80 | ((point >> 6) & 0x3f)
        bytes[n++] = 0x80 | (point & 0x3f)
        continue
      }
      point = 0xfffd
    }
    bytes[n++] = 0xe0 | (point >> 12)
    bytes[n++] = 0x80 | ((point >> 6) & 0x3f)
    bytes[n++] = 0x80 | (point & 0x3f)
  }
  return n
}
