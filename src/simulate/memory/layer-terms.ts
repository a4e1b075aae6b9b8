/** @file Memory of a layer on one chip, by kind: worked out once for all layouts that split a layer in the same way. */
import type { Decoder, Experts } from '../../model/index.ts'
import { HALF } from '../bytes.ts'
import type { Behaviour, Layout, Workload } from '../types.ts'
import { type PartElements, partElements } from '../weights.ts'
import { attentionWidths, paddedVocabulary } from '../work.ts'
import { attentionPasses } from './attention.ts'
import { embeddingPass, type Head, head } from './ends.ts'
import { accumulatesInPlace, type Extent, extentOf, norm, streamBytes } from './extent.ts'
import { expertPasses, mlpPasses } from './feed-forward.ts'
import { type Pass, recomputed, type Walk, walk } from './walk.ts'

export interface LayerTerms {
  readonly extent: Extent
  readonly dense: KindTerms
  /** The same as `dense` for a decoder without experts. */
  readonly expert: KindTerms
  readonly head: Head
  readonly embedding: Walk
  readonly elements: PartElements
  /** Bytes that are kept in front of prediction layers. */
  readonly predictionSaved: number
  /** Bytes of gradients' placeholders, by a bit mask of what a stage holds: 1 dense layers, 2 experts, 4 the head. */
  readonly placeholders: readonly number[]
}

interface KindTerms {
  readonly plain: Walk
  readonly recomputed: Walk
}

export function layerTerms(workload: Workload, engine: Behaviour, layout: Layout): LayerTerms {
  const { decoder } = workload
  const extent = extentOf(workload, engine, layout)
  const t = layout.tensorParallel
  const vocabulary = paddedVocabulary(decoder, engine, t) / t
  const dense = kindTerms(extent, null)
  return {
    extent,
    dense,
    expert: decoder.experts === null ? dense : kindTerms(extent, decoder.experts),
    head: head(extent, vocabulary),
    embedding: walk([embeddingPass(extent, vocabulary)]),
    elements: partElements(decoder, engine, layout),
    // both inputs of a prediction layer, before and after their norms
    predictionSaved: decoder.predictionLayers * 4 * streamBytes(extent),
    placeholders: placeholders(extent, vocabulary),
  }
}

function kindTerms(extent: Extent, experts: Experts | null): KindTerms {
  const plain = walk(layerPasses(extent, experts))
  return { plain, recomputed: recomputed(plain, streamBytes(extent)) }
}

/** The passes of a layer, dense or of experts. */
function layerPasses(e: Extent, experts: Experts | null): Pass[] {
  const stream = streamBytes(e)
  const after = (part: string) =>
    e.decoder.normsPerLayer > 2
      ? [norm(e, `norm after ${part}`, e.streamTokens, e.decoder.hiddenSize, stream)]
      : []
  return [
    ...attentionPasses(e),
    ...after('attention'),
    ...(experts ? expertPasses(e, experts) : mlpPasses(e)),
    ...after('MLP'),
  ]
}

function placeholders(extent: Extent, vocabulary: number): number[] {
  const { decoder, layout, engine } = extent
  if (!accumulatesInPlace(engine, layout) || engine.gradientPlaceholders === false) return Array(8).fill(0)
  // each shape with the bit mask of what holds it: compared as numbers, as a search asks for many
  const distinct: { readonly rows: number; readonly columns: number; holders: number }[] = []
  const add = (holder: number, shapes: readonly (readonly [number, number])[]) => {
    for (const [rows, columns] of shapes) {
      const known = distinct.find((shape) => shape.rows === rows && shape.columns === columns)
      if (known === undefined) distinct.push({ rows, columns, holders: holder })
      else known.holders |= holder
    }
  }
  add(1, matrixShapes(decoder, null, layout))
  if (decoder.experts) add(2, matrixShapes(decoder, decoder.experts, layout))
  add(4, [[vocabulary, decoder.hiddenSize]])
  return Array.from({ length: 8 }, (_, holds) =>
    distinct.reduce(
      (sum, { rows, columns, holders }) => sum + (holders & holds ? rows * columns * HALF : 0),
      0,
    ),
  )
}

/** Shapes (out x in) of a layer's matrices on one chip, queries with keys and values and gate with up in one. */
function matrixShapes(
  decoder: Decoder,
  experts: Experts | null,
  layout: Layout,
): readonly (readonly [number, number])[] {
  const { hiddenSize: hidden, attention: a } = decoder
  const t = layout.tensorParallel
  const widths = attentionWidths(decoder, t)
  const inward = decoder.gated ? 2 : 1
  const mlp = (width: number, over: number): (readonly [number, number])[] => [
    [(inward * width) / over, hidden],
    [hidden, width / over],
  ]
  const projections: (readonly [number, number])[] =
    a.kind === 'heads'
      ? [[widths.query + widths.key + widths.value, hidden]]
      : [
          ...(a.queryRank === 0
            ? [[widths.query, hidden] as const]
            : [[a.queryRank, hidden] as const, [widths.query, a.queryRank] as const]),
          [a.keyValueRank + a.rotaryHeadSize, hidden],
          [(a.heads * (a.plainHeadSize + a.valueHeadSize)) / t, a.keyValueRank],
        ]
  return [
    ...projections,
    [hidden, widths.output],
    ...(experts === null
      ? mlp(decoder.intermediateSize, t)
      : [
          ...mlp(experts.intermediateSize, layout.expertTensorParallel),
          ...mlp(experts.sharedIntermediateSize, t),
        ]),
  ]
}
