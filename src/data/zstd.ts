/** @file Zstandard as a stream, block by block, so that memory is bounded whatever the file says of itself. */
import { Decompress } from 'fzstd'

/** As the zstd program refuses without --memory: a window of more than this. */
const MAX_WINDOW = 1 << 27

/**
 * Decompresses frames one after another (skippable ones are passed over). One block of at most 128 KiB is handed to
 * the decoder at a time. Throws Error with the reason for input that is cut off, damaged, or wants too large a window.
 */
export async function* decompressZstd(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = createByteReader(chunks)
  let output: Uint8Array[] = []
  for (;;) {
    const magic = await input.take(4, true)
    if (magic === null) return
    const number = uint32(magic)
    if (number >= 0x184d2a50 && number <= 0x184d2a5f) {
      for (let left = uint32(await input.take(4)); left > 0; ) {
        const step = Math.min(left, 1 << 16)
        await input.take(step)
        left -= step
      }
      continue
    }
    if (number !== 0xfd2fb528) throw new Error('not zstd data')
    const decoder = new Decompress((data) => output.push(data))
    const descriptor = await input.take(1)
    const rest = await input.take(headerLength(descriptor[0]!) - 1)
    if (windowSize(descriptor[0]!, rest) > MAX_WINDOW) throw new Error('wants a window of more than 128 MiB')
    decoder.push(Buffer.concat([magic, descriptor, rest]))
    for (let last = false; !last; ) {
      const header = await input.take(3)
      const bits = header[0]! | (header[1]! << 8) | (header[2]! << 16)
      last = (bits & 1) === 1
      const type = (bits >> 1) & 3
      const size = bits >> 3
      if (type === 3 || size > 1 << 17) throw new Error('damaged block')
      const block = await input.take(type === 1 ? 1 : size)
      decoder.push(Buffer.concat([header, block]))
      yield* output
      output = []
    }
    const checksum = (descriptor[0]! & 4) === 0 ? 0 : 4
    decoder.push(await input.take(checksum), true)
    yield* output
    output = []
  }
}

function uint32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
}

/** Bytes of a frame header from its descriptor on (RFC 8878, 3.1.1.1). */
function headerLength(descriptor: number): number {
  const single = (descriptor >> 5) & 1
  const dictionary = [0, 1, 2, 4][descriptor & 3]!
  const contentSize = [single, 2, 4, 8][descriptor >> 6]!
  return 1 + (1 - single) + dictionary + contentSize
}

/** The window that a frame asks for, from what follows its descriptor. */
function windowSize(descriptor: number, rest: Uint8Array): number {
  if ((descriptor & 0x20) === 0) {
    const base = 2 ** (10 + (rest[0]! >> 3))
    return base + (base / 8) * (rest[0]! & 7)
  }
  // A single segment: the window is the content.
  let size = 0
  const start = [0, 1, 2, 4][descriptor & 3]!
  for (let i = rest.length - 1; i >= start; i--) size = size * 256 + rest[i]!
  return descriptor >> 6 === 1 ? size + 256 : size
}

/** Takes exact numbers of bytes from chunks of any size. */
function createByteReader(chunks: AsyncIterable<Uint8Array>) {
  const iterator = chunks[Symbol.asyncIterator]()
  let buffer: Uint8Array = new Uint8Array(0)

  async function take(count: number): Promise<Uint8Array>
  async function take(count: number, orEnd: true): Promise<Uint8Array | null>
  async function take(count: number, orEnd = false): Promise<Uint8Array | null> {
    while (buffer.length < count) {
      const next = await iterator.next()
      if (next.done) {
        if (orEnd && buffer.length === 0) return null
        throw new Error('is cut off')
      }
      buffer = buffer.length === 0 ? next.value : Buffer.concat([buffer, next.value])
    }
    const bytes = buffer.subarray(0, count)
    buffer = buffer.subarray(count)
    return bytes
  }
  return { take }
}
