/** @file How a token is stored in Megatron's dataset. */

/** Element type of the tokens. Megatron knows more, but its builder writes only these two. */
export type IndexedDatasetDType = 'uint16' | 'int32'

/** Bytes of one token. */
export const TOKEN_BYTES: Readonly<Record<IndexedDatasetDType, number>> = { uint16: 2, int32: 4 }

/** The element type that Megatron chooses for a vocabulary. */
export function indexedDatasetDType(vocabSize: number): IndexedDatasetDType {
  return vocabSize < 65_500 ? 'uint16' : 'int32'
}
