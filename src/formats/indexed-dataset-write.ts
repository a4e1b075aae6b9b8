/** @file Writes Megatron's indexed dataset, `.bin` and `.idx`, byte for byte as Megatron-LM's own builder does. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { RegaugeError } from '../errors.ts'
import { fileError, readExactly, syncFolderOf, withFile } from './files.ts'
import { type IndexedDatasetDType, indexedDatasetDType, TOKEN_BYTES } from './indexed-dataset-dtype.ts'
import { writeIndexHeader } from './indexed-dataset-index.ts'

/** Bytes held back before a file is written to. */
const BUFFER_BYTES = 2 ** 18
const MAX_SEQUENCE_TOKENS = 2 ** 31 - 1

/** What a finished dataset holds. */
export interface IndexedDatasetCounts {
  readonly sequences: number
  readonly documents: number
  readonly tokens: number
}

/** Takes documents one after another. */
export interface IndexedDatasetWriter {
  readonly dtype: IndexedDatasetDType
  /**
   * Appends a document as one sequence; without tokens it counts as a document that has no sequence, as in
   * Megatron's preprocess_data.py. Throws `RegaugeError('data')` for an id outside the vocabulary.
   */
  addDocument(tokens: ArrayLike<number>): void
  /** Writes the index, makes both files durable and gives them their names. The writer is used up. */
  finish(): Promise<IndexedDatasetCounts>
  /** Removes what was written. The writer is used up. */
  abort(): void
}

/** A file that is appended to through a buffer. */
function createAppender(path: string) {
  const fd = openSync(path, 'w')
  const buffer = new Uint8Array(BUFFER_BYTES)
  const view = new DataView(buffer.buffer)
  let used = 0
  let open = true
  const flush = (): void => {
    let done = 0
    while (done < used) done += writeSync(fd, buffer, done, used - done)
    used = 0
  }
  const room = (bytes: number): number => {
    if (used + bytes > BUFFER_BYTES) flush()
    used += bytes
    return used - bytes
  }
  return {
    path,
    uint16: (value: number) => view.setUint16(room(2), value, true),
    int32: (value: number) => view.setInt32(room(4), value, true),
    int64: (value: number) => view.setBigInt64(room(8), BigInt(value), true),
    bytes(value: Uint8Array) {
      for (let at = 0; at < value.byteLength; at += BUFFER_BYTES) {
        const part = value.subarray(at, at + BUFFER_BYTES)
        buffer.set(part, room(part.byteLength))
      }
    },
    /** Writes what is held back, onto the disk itself if it must survive a power failure. */
    finish(durable: boolean) {
      flush()
      if (durable) fsyncSync(fd)
      this.close()
    },
    close() {
      if (open) closeSync(fd)
      open = false
    },
  }
}

/**
 * Starts a dataset at `prefix.bin` and `prefix.idx`. Tokens are uint16 where the vocabulary is smaller than
 * 65,500, else int32. Memory does not grow with the number of tokens or documents: until `finish`, everything
 * lies in temporary files beside the two, which keep their old content as long.
 *
 * Format: megatron/core/datasets/indexed_dataset.py of github.com/NVIDIA/Megatron-LM.
 */
export function createIndexedDatasetWriter(
  prefix: string,
  options: { readonly vocabSize: number },
): IndexedDatasetWriter {
  const { vocabSize } = options
  const dtype = indexedDatasetDType(vocabSize)
  const suffix = `partial-${process.pid}-${Date.now().toString(36)}`
  const files = (['bin', 'idx', 'lengths', 'ends'] as const).map((part) => `${prefix}.${part}.${suffix}`)
  const [binPath, idxPath, lengthsPath, endsPath] = files as [string, string, string, string]
  const open: ReturnType<typeof createAppender>[] = []
  const attempt = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      discard()
      throw fileError(prefix, error)
    }
  }
  const start = (path: string) => {
    const file = createAppender(path)
    open.push(file)
    return file
  }
  const discard = (): void => {
    used = true
    for (const file of open) file.close()
    for (const path of files) rmSync(path, { force: true })
  }
  let used = false
  const [bin, lengths, ends] = attempt(() => [start(binPath), start(lengthsPath), start(endsPath)] as const)
  let sequences = 0
  let documents = 0
  let tokenCount = 0

  const addDocument = (tokens: ArrayLike<number>): void => {
    if (used) throw new Error('the dataset was already finished or aborted')
    if (tokens.length > MAX_SEQUENCE_TOKENS) throw new Error(`a document of ${tokens.length} tokens`)
    attempt(() => {
      for (let i = 0; i < tokens.length; i++) {
        const token = tokens[i]!
        if (!(Number.isInteger(token) && token >= 0 && token < vocabSize))
          throw outside(token, vocabSize, prefix)
        if (dtype === 'uint16') bin.uint16(token)
        else bin.int32(token)
      }
      if (tokens.length > 0) {
        lengths.int32(tokens.length)
        sequences++
      }
      documents++
      tokenCount += tokens.length
      ends.int64(sequences)
    })
  }

  const finish = async (): Promise<IndexedDatasetCounts> => {
    if (used) throw new Error('the dataset was already finished or aborted')
    used = true
    try {
      bin.finish(true)
      lengths.finish(false)
      ends.finish(false)
      const idx = start(idxPath)
      idx.bytes(writeIndexHeader(dtype, sequences, documents + 1))
      await forEachChunk(lengthsPath, (chunk) => idx.bytes(chunk))
      let pointer = 0
      await forEachChunk(lengthsPath, (chunk) => {
        const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
        for (let at = 0; at < chunk.byteLength; at += 4) {
          idx.int64(pointer)
          pointer += view.getInt32(at, true) * TOKEN_BYTES[dtype]
        }
      })
      idx.int64(0)
      await forEachChunk(endsPath, (chunk) => idx.bytes(chunk))
      idx.finish(true)
      // Without its index the dataset does not exist, so a kill between these leaves no mismatched pair.
      rmSync(`${prefix}.idx`, { force: true })
      renameSync(binPath, `${prefix}.bin`)
      renameSync(idxPath, `${prefix}.idx`)
      await syncFolderOf(prefix)
    } catch (error) {
      throw fileError(prefix, error)
    } finally {
      discard()
    }
    return { sequences, documents, tokens: tokenCount }
  }
  return { dtype, addDocument, finish, abort: discard }
}

function outside(token: number, vocabSize: number, prefix: string): RegaugeError {
  return new RegaugeError('data', {
    code: 'TOKEN_OUTSIDE_VOCABULARY',
    message: `token id ${token} is outside the vocabulary of ${vocabSize}`,
    file: `${prefix}.bin`,
    hint: 'use the tokenizer that belongs to the model, or set the vocabulary size to the tokenizer’s',
  })
}

/** Calls `work` with a file's content, part by part; a part is a multiple of 8 bytes except for the last. */
async function forEachChunk(path: string, work: (chunk: Uint8Array) => void): Promise<void> {
  await withFile(path, 'r', async (handle) => {
    const { size } = await handle.stat()
    const buffer = new Uint8Array(Math.min(size, BUFFER_BYTES))
    for (let at = 0; at < size; at += BUFFER_BYTES) {
      const chunk = buffer.subarray(0, Math.min(BUFFER_BYTES, size - at))
      await readExactly(handle, path, chunk, at)
      work(chunk)
    }
  })
}
