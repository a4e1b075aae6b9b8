/** @file Whether a file can be a shared library: what the loader would hang on, or be killed by, is told before. */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { endianness } from 'node:os'

/** ELF of 64 bits, little endian: the bytes of its header, and of an entry of its program header table. */
const [HEADER_BYTES, ENTRY_BYTES] = [64, 56]
const ELF64_LITTLE = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1])
/** A segment that the loader maps. */
const PT_LOAD = 1

/**
 * Why the file at `path` is no whole library; undefined when nothing speaks against it, also where there is no such
 * file, since the loader looks elsewhere too. A pipe would block the loader for ever, and a library that was cut off
 * ends the process with SIGBUS when what is missing is touched. Source of offsets: elf(5).
 */
export function problemOfLibraryFile(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return undefined
  if (!found.isFile()) return found.isDirectory() ? 'it is a folder' : 'it is not a file'
  if (process.platform !== 'linux' || endianness() !== 'LE') return undefined
  const file = openSync(path, 'r')
  try {
    const { size } = fstatSync(file)
    const end = endOfSegments(file)
    return end > size ? `it is cut off: it has ${size} bytes of ${end}` : undefined
  } finally {
    closeSync(file)
  }
}

/** Where the last mapped byte of an ELF file lies; 0 for another file, which the loader refuses by itself. */
function endOfSegments(file: number): number {
  const header = readAt(file, 0, HEADER_BYTES)
  if (header.length < HEADER_BYTES || !header.subarray(0, ELF64_LITTLE.length).equals(ELF64_LITTLE)) return 0
  const [start, count] = [Number(header.readBigUInt64LE(32)), header.readUInt16LE(56)]
  if (header.readUInt16LE(54) !== ENTRY_BYTES || !Number.isSafeInteger(start)) return 0
  const table = readAt(file, start, count * ENTRY_BYTES)
  let end = start + count * ENTRY_BYTES
  for (let at = 0; at + ENTRY_BYTES <= table.length; at += ENTRY_BYTES) {
    if (table.readUInt32LE(at) !== PT_LOAD) continue
    const [offset, bytes] = [table.readBigUInt64LE(at + 8), table.readBigUInt64LE(at + 32)]
    end = Math.max(end, Number(offset + bytes))
  }
  return end
}

function readAt(file: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  return bytes.subarray(0, readSync(file, bytes, 0, length, position))
}
