/** @file A few digits that tell one batch from another. */
import { crc32 } from 'node:zlib'
import type { Batch } from '../trainer.ts'

/** CRC-32 of the ids and then the labels, as little-endian 32-bit numbers, in 8 hexadecimal digits. */
export function fingerprint({ ids, labels }: Batch): string {
  return crc32(bytesOf(labels), crc32(bytesOf(ids)))
    .toString(16)
    .padStart(8, '0')
}

function bytesOf(values: Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
