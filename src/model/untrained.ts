/** @file Why a decoder that can be planned for does not train here. */
import type { Decoder } from './decoder.ts'
import type { Family } from './family.ts'

/** The reason why a decoder does not train, as the end of a sentence; undefined where it does. */
export function untrainedReason(decoder: Decoder, family: Family | undefined): string | undefined {
  const parts = foreignParts(decoder)
  if (parts.length > 0) return `it has ${parts.join(', ')}`
  return family?.trains == null
    ? 'its forward pass and the names of its parameters are not written here'
    : undefined
}

/** Parts of a decoder that no forward pass here has. */
function foreignParts(decoder: Decoder): string[] {
  const vectors = decoder.norm === 'rms' ? 1 : 2
  const parts: readonly (readonly [boolean, string])[] = [
    [decoder.attention.kind === 'latent', 'attention through a latent'],
    [decoder.experts !== null, 'experts'],
    [decoder.predictionLayers > 0, 'layers that predict further tokens'],
    [decoder.attentionSinks, 'attention sinks'],
    [decoder.normsPerLayer === 1, 'attention and MLP side by side'],
    [decoder.embeddingNorm, 'a norm of embeddings'],
    [decoder.normVectors !== vectors, 'norms that learn other vectors'],
    [decoder.biases.head, 'a bias of the logits'],
  ]
  return parts.filter(([has]) => has).map(([, part]) => part)
}
