/** @file The head of Megatron's `.idx` file: magic, version, element type, counts; and what must hold of them. */
import type { FileHandle } from 'node:fs/promises'
import { contentError, readExactly } from './files.ts'
import { type IndexedDatasetDType, TOKEN_BYTES } from './indexed-dataset-dtype.ts'

const DTYPE_CODES: Readonly<Record<IndexedDatasetDType, number>> = { int32: 4, uint16: 8 }
const MAGIC = 'MMIDIDX\0\0'
const HEADER_BYTES = 34
const SCAN_SEQUENCES = 2 ** 16

/** What the head of an index says. */
export interface IndexHead {
  readonly dtype: IndexedDatasetDType
  readonly sequences: number
  /** One more than there are documents: the first entry is 0. */
  readonly documentIndices: number
}

/** The first bytes of an index. */
export function writeIndexHeader(
  dtype: IndexedDatasetDType,
  sequences: number,
  documentIndices: number,
): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  bytes.set(new TextEncoder().encode(MAGIC))
  const view = new DataView(bytes.buffer)
  view.setBigUint64(9, 1n, true)
  view.setUint8(17, DTYPE_CODES[dtype])
  view.setBigUint64(18, BigInt(sequences), true)
  view.setBigUint64(26, BigInt(documentIndices), true)
  return bytes
}

/** Where the three arrays of an index begin, in bytes. */
export function indexOffsets(head: IndexHead): {
  lengths: number
  pointers: number
  documents: number
  end: number
} {
  const lengths = HEADER_BYTES
  const pointers = lengths + 4 * head.sequences
  const documents = pointers + 8 * head.sequences
  return { lengths, pointers, documents, end: documents + 8 * head.documentIndices }
}

/** An error about the content of an index or of the tokens beside it. */
export function datasetError(file: string, message: string): Error {
  return contentError(
    'INDEXED_DATASET_INVALID',
    file,
    message,
    'the dataset is damaged or of another format; build it again',
  )
}

/** Reads and checks the head of an index against the size of the file, before anything is allocated by it. */
export async function readIndexHead(handle: FileHandle, path: string): Promise<IndexHead> {
  const { size } = await handle.stat()
  const bytes = new Uint8Array(HEADER_BYTES)
  await readExactly(handle, path, bytes.subarray(0, Math.min(size, HEADER_BYTES)), 0)
  const magic = new TextDecoder('latin1').decode(bytes.subarray(0, MAGIC.length))
  if (magic !== MAGIC)
    throw datasetError(path, 'the file does not begin with MMIDIDX: it is not an index of Megatron')
  if (size < HEADER_BYTES) throw datasetError(path, `the index ends after ${size} bytes, inside its head`)
  const view = new DataView(bytes.buffer)
  const version = view.getBigUint64(9, true)
  if (version !== 1n) throw datasetError(path, `index version ${version}, known is 1`)
  const code = view.getUint8(17)
  const dtype = (Object.keys(DTYPE_CODES) as IndexedDatasetDType[]).find((name) => DTYPE_CODES[name] === code)
  if (dtype === undefined)
    throw datasetError(path, `element type ${code}, known are 4 (int32) and 8 (uint16)`)
  const sequences = view.getBigUint64(18, true)
  const documentIndices = view.getBigUint64(26, true)
  const expected = BigInt(HEADER_BYTES) + 12n * sequences + 8n * documentIndices
  if (expected !== BigInt(size)) {
    throw datasetError(
      path,
      `${sequences} sequences and ${documentIndices} document indices take ${expected} bytes, the index has ${size}`,
    )
  }
  if (documentIndices === 0n)
    throw datasetError(path, 'the index has no document indices, not even the first 0')
  return { dtype, sequences: Number(sequences), documentIndices: Number(documentIndices) }
}

/**
 * Checks the arrays of an index, a part at a time: lengths that are not negative, pointers that follow one
 * another without a gap and end with the `.bin` file, document indices that rise from 0 to the number of
 * sequences. Only then is a range of tokens a range of bytes. Gives the number of tokens.
 */
export async function checkIndexArrays(
  handle: FileHandle,
  path: string,
  head: IndexHead,
  binBytes: number,
): Promise<number> {
  const at = indexOffsets(head)
  const width = TOKEN_BYTES[head.dtype]
  let pointer = 0
  for (let first = 0; first < head.sequences; first += SCAN_SEQUENCES) {
    const count = Math.min(SCAN_SEQUENCES, head.sequences - first)
    const lengths = new DataView(new ArrayBuffer(4 * count))
    const pointers = new DataView(new ArrayBuffer(8 * count))
    await readExactly(handle, path, new Uint8Array(lengths.buffer), at.lengths + 4 * first)
    await readExactly(handle, path, new Uint8Array(pointers.buffer), at.pointers + 8 * first)
    for (let i = 0; i < count; i++) {
      const length = lengths.getInt32(4 * i, true)
      if (length < 0) throw datasetError(path, `sequence ${first + i} has ${length} tokens`)
      if (readInt64(pointers, 8 * i) !== pointer) {
        const found = pointers.getBigInt64(8 * i, true)
        throw datasetError(
          path,
          `sequence ${first + i} begins at byte ${found}, not at ${pointer} where the one before ends`,
        )
      }
      pointer += length * width
    }
  }
  if (pointer !== binBytes) {
    throw datasetError(path, `the sequences take ${pointer} bytes, the .bin file has ${binBytes}`)
  }
  let end = 0
  for (let first = 0; first < head.documentIndices; first += SCAN_SEQUENCES) {
    const count = Math.min(SCAN_SEQUENCES, head.documentIndices - first)
    const ends = new DataView(new ArrayBuffer(8 * count))
    await readExactly(handle, path, new Uint8Array(ends.buffer), at.documents + 8 * first)
    for (let i = 0; i < count; i++) {
      const next = readInt64(ends, 8 * i)
      const fits = first + i === 0 ? next === 0 : next >= end && next <= head.sequences
      if (!fits)
        throw datasetError(
          path,
          `document index ${first + i} is ${ends.getBigInt64(8 * i, true)} after ${end}`,
        )
      end = next
    }
  }
  if (end !== head.sequences) {
    throw datasetError(path, `the documents end at sequence ${end}, the index has ${head.sequences}`)
  }
  return pointer / width
}

/** A signed 64-bit integer as a number: exact up to 2^53, where every valid value lies. */
export function readInt64(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true)
}
