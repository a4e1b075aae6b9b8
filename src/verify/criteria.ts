/** @file The criteria by which two runs are held to be the same: thresholds as published, each with its source. */
import { type Evidence, isKept, STRICT, type StepPair, type TensorKind } from './evidence.ts'
import { absoluteDifference, mean, relativeDifference, worse } from './metrics.ts'

/** `not-applicable`: the evidence that it needs is not there; the note says which. */
export type CriterionVerdict = 'pass' | 'warn' | 'fail' | 'not-applicable'

/** One figure with its limit. */
export interface Measure {
  readonly name: string
  readonly limit: number
  /** Whether the limit itself is still good. */
  readonly inclusive?: true
  /** The figure; undefined when there is nothing to measure. NaN is beyond every limit. */
  of(evidence: Evidence): number | undefined
}

export interface Criterion {
  readonly id: string
  readonly title: string
  readonly source: { readonly name: string; readonly address: string }
  /**
   * `strict`: what is the same in float32 passes all of these. `acceptance`: published, or ours, for runs whose
   * arithmetic differs; what fails one is not the same. `watch`: failing it is a warning.
   */
  readonly role: 'strict' | 'acceptance' | 'watch'
  /** Whether all measures must hold, or one is enough. */
  readonly rule: 'all' | 'any'
  readonly measures: readonly [Measure, ...Measure[]]
  /** Steps below which its source does not let it pass. It may fail before. */
  readonly leastSteps?: number
}

/** A criterion applied. */
export interface Judgement extends Pick<Criterion, 'id' | 'title' | 'source' | 'role' | 'rule'> {
  readonly verdict: CriterionVerdict
  readonly measures: readonly {
    readonly name: string
    /** As published, or the reference's own spread where that is more. */
    readonly limit: number
    readonly inclusive: boolean
    /** Null when there was nothing to measure. JSON has no NaN or infinity: one that is not finite is null there too. */
    readonly value: number | null
    /** The same of the reference against itself; null when it was not run again. */
    readonly spread: number | null
  }[]
  readonly note?: string
}

const REGAUGE = { name: 'regauge', address: 'src/verify/criteria.ts' }
/** 大模型迁移精度标准, as the document at this address has it. */
const MIGRATION = {
  name: 'MindSpore Transformers',
  address:
    'https://github.com/mindspore-ai/docs/blob/0dbb4b11/docs/mindformers/docs/source_zh_cn/advanced_development/precision_optimization.md',
}
/** 平均相对误差小于 2% from step 21 on, against the same steps of the reference; for instance its mixtral_8x7B case. */
const FLAGPERF = {
  name: 'FlagPerf',
  address: 'https://github.com/FlagOpen/FlagPerf/tree/main/training',
}
/** "Accuracy Reached" of a compared tensor. */
const MSPROBE = {
  name: 'msprobe',
  address: 'https://www.hiascend.com, document AImpug_000197; package mindstudio-probe',
}
/** A loss within 1 % while gradients of the first layer were off by 50 to 100 %. */
const LOSS_IS_BLIND = {
  name: 'regauge, after a case',
  address: 'https://github.com/Ascend/pytorch/issues/107',
}

/** Published thresholds. */
export const PUBLISHED = {
  firstLoss: { absolute: 0.005, relative: 0.005 },
  meanLoss: { absolute: 0.01, relative: 0.01, leastSteps: 1000 },
  meanNorm: 0.1,
  laterLoss: { relative: 0.02, fromStep: 21 },
  tensor: { cosine: 0.99, maxAbsolute: 0.001, leastCosine: 0.9, mostAbsolute: 1 },
  tensorGuidance: { relativeError: 0.01 },
} as const

/** Our own, and at equal weights as those of msprobe: a gradient of 16-bit products is off by a few per cent, one of a wrong rule by more. */
const GRADIENT_SCALE = 0.1

const relativeLosses = (steps: readonly StepPair[]) => steps.map(({ loss }) => relativeDifference(...loss))
const absoluteLosses = (steps: readonly StepPair[]) => steps.map(({ loss }) => absoluteDifference(...loss))
const most = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : values.reduce(worse)

const isGradient = (kind: TensorKind) => kind === 'gradient'

/** Largest figure over the tensors of some kinds. */
function overTensors(
  wanted: (kind: TensorKind) => boolean,
  figure: (tensor: Evidence['tensors'][number]) => number,
): (evidence: Evidence) => number | undefined {
  return ({ tensors }) => most(tensors.filter(({ kind }) => wanted(kind)).map(figure))
}

/** The criteria, strict ones first. */
export const CRITERIA: readonly Criterion[] = [
  {
    id: 'strict-loss',
    title: 'loss, each step',
    source: REGAUGE,
    role: 'strict',
    rule: 'all',
    measures: [
      { name: 'rel', limit: STRICT.loss, inclusive: true, of: ({ steps }) => most(relativeLosses(steps)) },
    ],
  },
  {
    id: 'strict-norm',
    title: 'gradient norm, each step',
    source: REGAUGE,
    role: 'strict',
    rule: 'all',
    measures: [
      {
        name: 'rel',
        limit: STRICT.gradNorm,
        inclusive: true,
        of: ({ steps }) => most(steps.map(({ gradNorm }) => relativeDifference(...gradNorm))),
      },
    ],
  },
  {
    id: 'strict-gradients',
    title: 'gradients, each tensor',
    source: REGAUGE,
    role: 'strict',
    rule: 'all',
    measures: [
      {
        name: '1-cos',
        limit: Number((1 - STRICT.cosine).toPrecision(5)),
        of: overTensors(isGradient, ({ cosine }) => 1 - cosine),
      },
      {
        name: 'rel',
        limit: STRICT.relativeError.gradient,
        inclusive: true,
        of: overTensors(isGradient, ({ relativeError }) => relativeError),
      },
    ],
  },
  {
    id: 'strict-state',
    title: 'weights and moments',
    source: REGAUGE,
    role: 'strict',
    rule: 'all',
    measures: [
      {
        name: 'w',
        limit: STRICT.relativeError.weight,
        inclusive: true,
        of: overTensors(
          (kind) => kind === 'weight',
          ({ relativeError }) => relativeError,
        ),
      },
      {
        name: 'moments',
        limit: STRICT.relativeError.kept,
        inclusive: true,
        of: overTensors(isKept, ({ relativeError }) => relativeError),
      },
    ],
  },
  {
    id: 'first-loss',
    title: 'loss of the first step',
    source: MIGRATION,
    role: 'acceptance',
    rule: 'any',
    measures: [
      {
        name: 'abs',
        limit: PUBLISHED.firstLoss.absolute,
        of: ({ steps }) => absoluteLosses(steps.slice(0, 1))[0],
      },
      {
        name: 'rel',
        limit: PUBLISHED.firstLoss.relative,
        of: ({ steps }) => relativeLosses(steps.slice(0, 1))[0],
      },
    ],
  },
  {
    id: 'mean-loss',
    title: 'loss, mean over the run',
    source: MIGRATION,
    role: 'acceptance',
    rule: 'any',
    leastSteps: PUBLISHED.meanLoss.leastSteps,
    measures: [
      {
        name: 'abs',
        limit: PUBLISHED.meanLoss.absolute,
        of: ({ steps }) => mean(absoluteLosses(steps)),
      },
      {
        name: 'rel',
        limit: PUBLISHED.meanLoss.relative,
        of: ({ steps }) => mean(relativeLosses(steps)),
      },
    ],
  },
  {
    id: 'mean-norm',
    title: 'gradient norm, mean',
    source: MIGRATION,
    role: 'acceptance',
    rule: 'all',
    leastSteps: PUBLISHED.meanLoss.leastSteps,
    measures: [
      {
        name: 'rel',
        limit: PUBLISHED.meanNorm,
        inclusive: true,
        of: ({ steps }) => mean(steps.map(({ gradNorm }) => relativeDifference(...gradNorm))),
      },
    ],
  },
  {
    id: 'later-loss',
    title: `loss, mean from step ${PUBLISHED.laterLoss.fromStep} on`,
    source: FLAGPERF,
    role: 'acceptance',
    rule: 'all',
    measures: [
      {
        name: 'rel',
        limit: PUBLISHED.laterLoss.relative,
        of: ({ steps }) => mean(relativeLosses(steps.slice(PUBLISHED.laterLoss.fromStep - 1))),
      },
    ],
  },
  {
    id: 'tensor-accuracy',
    title: 'gradients not accurate',
    source: MSPROBE,
    role: 'acceptance',
    rule: 'all',
    measures: [
      {
        name: 'tensors',
        limit: 0,
        inclusive: true,
        of: ({ tensors }) => {
          const gradients = tensors.filter(({ kind }) => kind === 'gradient')
          const { cosine, maxAbsolute, leastCosine, mostAbsolute } = PUBLISHED.tensor
          const off = gradients.filter(({ first }) => {
            const bad = !(first.cosine >= cosine) && !(first.maxAbsolute <= maxAbsolute)
            return bad || !(first.cosine >= leastCosine) || !(first.maxAbsolute <= mostAbsolute)
          })
          return gradients.length === 0 ? undefined : off.length
        },
      },
    ],
  },
  {
    id: 'gradient-scale',
    title: 'size of gradients',
    source: LOSS_IS_BLIND,
    role: 'acceptance',
    rule: 'all',
    measures: [
      {
        name: 'rel',
        limit: GRADIENT_SCALE,
        of: overTensors(isGradient, ({ first }) => first.relativeError),
      },
    ],
  },
  {
    id: 'tensor-guidance',
    title: 'gradients, its guidance',
    source: MSPROBE,
    role: 'watch',
    rule: 'all',
    measures: [
      {
        name: 'rel',
        limit: PUBLISHED.tensorGuidance.relativeError,
        of: overTensors(isGradient, ({ first }) => first.relativeError),
      },
    ],
  },
]

/**
 * Applies a criterion. Where the reference against itself (`spread`) is further apart than the limit, it is that far
 * that the other may be, as MindSpore Transformers has it.
 */
export function judge(criterion: Criterion, evidence: Evidence, spread: readonly Evidence[]): Judgement {
  const { id, title, source, role, rule, leastSteps = 0 } = criterion
  const measures = criterion.measures.map(({ name, limit, inclusive = false, of }) => {
    const own = most(spread.flatMap((one) => of(one) ?? []))
    const wider = own !== undefined && Number.isFinite(own) && own > limit
    return {
      name,
      limit: wider ? own : limit,
      inclusive: inclusive || wider,
      value: of(evidence) ?? null,
      spread: own ?? null,
    }
  })
  const judged = { id, title, source, role, rule, measures }
  if (measures.every(({ value }) => value === null)) {
    return { ...judged, verdict: 'not-applicable', note: missing(criterion, evidence) }
  }
  const holds = measures.map(({ value, limit, inclusive }) => {
    return value === null || (inclusive ? value <= limit : value < limit)
  })
  const passes = rule === 'all' ? holds.every(Boolean) : holds.some(Boolean)
  if (!passes) return { ...judged, verdict: role === 'watch' ? 'warn' : 'fail' }
  const { length } = evidence.steps
  if (length >= leastSteps) return { ...judged, verdict: 'pass' }
  const note = `within it so far; its source asks for ${leastSteps} steps or more, here are ${length}`
  return { ...judged, verdict: 'not-applicable', note }
}

function missing({ id }: Criterion, { steps }: Evidence): string {
  const { fromStep } = PUBLISHED.laterLoss
  if (id === 'later-loss') return `needs ${fromStep} steps or more, here are ${steps.length}`
  if (id === 'strict-state') return 'there is no checkpoint of the same step in both'
  return steps.length === 0 ? 'no step is in both' : 'run folders keep no gradients'
}
