/** @file Reads Megatron's indexed dataset, `.bin` and `.idx`, by position: memory does not grow with the corpus. */
import { type FileHandle, open } from 'node:fs/promises'
import { fileError, readExactly } from './files.ts'
import { type IndexedDatasetDType, TOKEN_BYTES } from './indexed-dataset-dtype.ts'
import { checkIndexArrays, indexOffsets, readIndexHead, readInt64 } from './indexed-dataset-index.ts'

/** An open dataset. All its sequences together are one row of tokens, in the order they were written. */
export interface IndexedDataset {
  readonly dtype: IndexedDatasetDType
  readonly sequenceCount: number
  readonly documentCount: number
  readonly tokenCount: number
  /** Tokens of each sequence: 4 bytes of memory a sequence. */
  sequenceLengths(): Promise<Int32Array>
  /** The position of a sequence's first token, for `sequence` up to `sequenceCount` (the end). Constant time. */
  sequenceStart(sequence: number): Promise<number>
  /** `count` tokens from position `offset` on, across documents. Constant time apart from the reading itself. */
  readTokens(offset: number, count: number): Promise<Int32Array>
  close(): Promise<void>
}

/**
 * Opens the dataset at `prefix.bin` and `prefix.idx`. The index is checked once, in parts; nothing of it is kept.
 * Token ids are not compared with a vocabulary here.
 *
 * Throws `RegaugeError('data')` for a missing or damaged file and for indices that do not cover the `.bin`
 * file from its first to its last byte.
 *
 * @example
 * ```ts
 * import { openIndexedDataset } from 'regauge/formats'
 *
 * const dataset = await openIndexedDataset('runs/books/data/train')
 * console.log(await dataset.readTokens(0, 16))
 * await dataset.close()
 * ```
 */
export async function openIndexedDataset(prefix: string): Promise<IndexedDataset> {
  const idxPath = `${prefix}.idx`
  const binPath = `${prefix}.bin`
  const idx = await openFile(idxPath)
  let bin: FileHandle | undefined
  try {
    bin = await openFile(binPath)
    const head = await readIndexHead(idx, idxPath)
    const tokenCount = await checkIndexArrays(idx, idxPath, head, (await bin.stat()).size)
    return dataset(idx, idxPath, bin, binPath, head, tokenCount)
  } catch (error) {
    await idx.close()
    await bin?.close()
    throw fileError(idxPath, error)
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    throw fileError(path, error)
  }
}

function dataset(
  idx: FileHandle,
  idxPath: string,
  bin: FileHandle,
  binPath: string,
  head: Awaited<ReturnType<typeof readIndexHead>>,
  tokenCount: number,
): IndexedDataset {
  const { dtype, sequences } = head
  const width = TOKEN_BYTES[dtype]
  const at = indexOffsets(head)
  return {
    dtype,
    sequenceCount: sequences,
    documentCount: head.documentIndices - 1,
    tokenCount,
    async sequenceLengths() {
      const lengths = new Int32Array(sequences)
      await readExactly(idx, idxPath, new Uint8Array(lengths.buffer), at.lengths)
      return lengths
    },
    async sequenceStart(sequence) {
      requireRange(sequence >= 0 && sequence <= sequences, `sequence ${sequence} of ${sequences}`)
      if (sequence === sequences) return tokenCount
      const pointer = new Uint8Array(8)
      await readExactly(idx, idxPath, pointer, at.pointers + 8 * sequence)
      return readInt64(new DataView(pointer.buffer), 0) / width
    },
    async readTokens(offset, count) {
      const inside = offset >= 0 && count >= 0 && offset + count <= tokenCount
      requireRange(inside, `tokens ${offset} to ${offset + count} of ${tokenCount}`)
      const stored = dtype === 'uint16' ? new Uint16Array(count) : new Int32Array(count)
      await readExactly(bin, binPath, new Uint8Array(stored.buffer), offset * width)
      return stored instanceof Int32Array ? stored : Int32Array.from(stored)
    },
    async close() {
      await idx.close()
      await bin.close()
    },
  }
}

function requireRange(holds: boolean, what: string): void {
  if (!holds) throw new RangeError(`${what} are outside the dataset`)
}
