/** @file Where two runs part for the first time, and by what. */
import { type DepartedTensor, type Evidence, isKept, STRICT, type TensorStep } from './evidence.ts'
import { relativeDifference, worse } from './metrics.ts'

/** What two runs part by. `arithmetic` is rounding that grew step by step; the others are faults. */
export type Cause = 'data' | 'schedule' | 'forward' | 'gradient' | 'optimizer' | 'arithmetic'

export interface Departure {
  /** The first step that departs; of cause `optimizer`, the step whose update does. */
  readonly step: number
  readonly cause: Cause
  /** First in the order of the forward pass. */
  readonly tensor?: DepartedTensor
  readonly layer?: number
  /** Of gradients: the first that the backward pass comes to, when it is another one. */
  readonly backwardFirst?: string
  /** How many tensors depart at that step. */
  readonly tensors?: number
  /** One sentence. */
  readonly message: string
}

/** A fault stands out: its difference is this many times that of the steps before. Rounding grows by less a step. */
const JUMP = 30
/** Steps before and from a step on that are looked at for that. */
const BEFORE = 10
const AFTER = 3
/** Rounding that is always there: of a loss in float32, of a norm over many tensors, of a tensor. */
const FLOOR = { loss: 1e-7, gradNorm: 1e-6, tensor: 1e-5 } as const
/** Moments that differ by more than this share are other moments. */
const OTHER_MOMENTS = 0.3

/** How much more rounding there is in 16-bit products: 2^-11 and 2^-8 to 2^-24, less what sums take out of it. */
const HALF_ROUNDING = 1000

/**
 * The first departure; undefined when everything is within the strict limits. `half`: products of either are of 16 bits,
 * whose rounding is no fault.
 */
export function firstDeparture(evidence: Evidence, half = false): Departure | undefined {
  const { steps } = evidence
  const seen: Seen = {
    ...evidence,
    losses: steps.map(({ loss }) => relativeDifference(...loss)),
    norms: steps.map(({ gradNorm }) => relativeDifference(...gradNorm)),
    stands: (differences, index, floor) => jumps(differences, index, floor * (half ? HALF_ROUNDING : 1)),
  }
  const found = SIGNS.flatMap(({ find, tell }) => {
    const step = find(seen)
    return step === undefined ? [] : [{ step, tell }]
  })
  // of one step, the sign that comes first
  const [first] = found.sort((a, b) => a.step - b.step)
  return first?.tell(seen, first.step)
}

/** Evidence, and how far the figures of its steps are apart. */
interface Seen extends Evidence {
  /** Relative differences, by index of the step. */
  readonly losses: readonly number[]
  readonly norms: readonly number[]
  /** Whether a difference is a fault's: it stands out from those before it, and from the rounding that is always there. */
  stands(differences: readonly number[], index: number, floor: number): boolean
}

/** What can be seen of a departure: the first step that shows it, and what it is then. In the order of a step. */
const SIGNS: readonly {
  find(seen: Seen): number | undefined
  tell(seen: Seen, step: number): Departure
}[] = [
  {
    find: ({ steps }) =>
      steps.find(({ data: [a, b] }) => a !== undefined && b !== undefined && a !== b)?.step,
    tell: otherData,
  },
  {
    find: ({ steps }) => steps.find(({ learningRate: [a, b] }) => relativeDifference(a, b) > 1e-9)?.step,
    tell: otherSchedule,
  },
  {
    find: ({ steps, losses }) => steps[losses.findIndex((one) => !(one <= STRICT.loss))]?.step,
    tell: otherLoss,
  },
  { find: ({ gradients }) => firstDeparted(gradients), tell: otherGradient },
  {
    find: ({ steps, norms }) => steps[norms.findIndex((one) => !(one <= STRICT.gradNorm))]?.step,
    tell: otherNorm,
  },
  { find: ({ states }) => firstDeparted(states), tell: otherState },
]

function firstDeparted(steps: readonly TensorStep[]): number | undefined {
  return steps.find(({ departed }) => departed.length > 0)?.step
}

function otherData({ steps }: Seen, step: number): Departure {
  const [a, b] = steps.find((pair) => pair.step === step)!.data
  return {
    step,
    cause: 'data',
    message: `step ${step} saw another batch (fingerprint ${b} instead of ${a})`,
  }
}

function otherSchedule({ steps }: Seen, step: number): Departure {
  const [a, b] = steps.find((pair) => pair.step === step)!.learningRate
  return { step, cause: 'schedule', message: `step ${step} has learning rate ${b} instead of ${a}` }
}

function otherLoss({ steps, gradients, states, losses, stands }: Seen, step: number): Departure {
  const index = steps.findIndex((pair) => pair.step === step)
  const [a, b] = steps[index]!.loss
  const told = `the loss of step ${step} is ${b} instead of ${a}`
  if (!stands(losses, index, FLOOR.loss)) return drift(step, told)
  const before = states.find((one) => one.step === step - 1)
  // with nothing known of the weights, a first step begins from the same ones, and any other from an update
  if (index === 0 || before !== undefined) {
    const departed = gradients.find((one) => one.step === step)?.departed ?? []
    const equal = before === undefined ? 'at the first step' : 'at equal weights and data'
    return { step, cause: 'forward', ...named(departed), message: `${told}, ${equal}` }
  }
  const message = `${told}, after an update that looked the same: the update of step ${step - 1} differs`
  return { step: step - 1, cause: 'optimizer', ...named(stateFrom(states, step)), message }
}

function otherGradient({ gradients, stands }: Seen, step: number): Departure {
  const index = gradients.findIndex((one) => one.step === step)
  const { departed } = gradients[index]!
  const first = departed[0]!
  const told = `the gradient of ${first.name} at step ${step} is off by ${percent(first.relativeError)}, the loss agrees`
  if (!stands(worstOf(gradients), index, FLOOR.tensor)) return drift(step, told, departed)
  const last = departed.at(-1)!
  const backwardFirst = last.name === first.name ? {} : { backwardFirst: last.name }
  const rest =
    departed.length === 1
      ? ''
      : `; ${departed.length} tensors are off, the backward pass comes to ${last.name} first`
  return { step, cause: 'gradient', ...named(departed), ...backwardFirst, message: told + rest }
}

function otherNorm({ steps, gradients, states, losses, norms, stands }: Seen, step: number): Departure {
  const index = steps.findIndex((pair) => pair.step === step)
  const [a, b] = steps[index]!.gradNorm
  const told = `the gradient norm of step ${step} is ${b} instead of ${a}, the loss agrees`
  const looked = gradients.find((one) => one.step === step)
  if (looked === undefined && index > 0 && stands(losses, index, FLOOR.loss)) {
    // a loss that moved by more than its rounding was computed with other weights
    const message = `${told} but for its last digits: the update of step ${step - 1} differs`
    return { step: step - 1, cause: 'optimizer', ...named(stateFrom(states, step)), message }
  }
  const departed = looked?.departed ?? stateFrom(states, step)
  if (!stands(norms, index, FLOOR.gradNorm)) return drift(step, told, departed)
  // a wrong gradient stands out in the moments, also after steps that have moved everything else
  const worst = departed.toSorted((one, other) => other.relativeError - one.relativeError)
  const tensor = worst[0] === undefined ? '' : `; the most in ${worst[0].kind} of ${worst[0].name}`
  return { step, cause: 'gradient', ...named(worst), message: told + tensor }
}

function otherState({ gradients, states, stands }: Seen, step: number): Departure {
  const index = states.findIndex((one) => one.step === step)
  const { departed } = states[index]!
  const first = departed[0]!
  const told = `after step ${step} the ${first.kind} of ${first.name} is off by ${percent(first.relativeError)}, loss and gradients agree`
  const other = departed.find(({ kind, relativeError }) => {
    return isKept(kind) && !(relativeError <= OTHER_MOMENTS)
  })
  if (other !== undefined) {
    const message = `after step ${step} the ${other.kind} of ${other.name} is another one (off by ${percent(other.relativeError)}), loss and gradients agree: the optimizer's state was lost or is wrong`
    return { step, cause: 'optimizer', ...named([other, ...departed]), tensors: departed.length, message }
  }
  // rounding of the gradients that went into an update shows in what comes out, with other signs at worst
  const rounding = gradients.find((one) => one.step === step)?.worst ?? Number.POSITIVE_INFINITY
  const dense = index > 0 && states[index - 1]!.step === step - 1
  if (!dense || !stands(worstOf(states), index, Math.max(FLOOR.tensor, rounding))) {
    return drift(step, told, departed)
  }
  return { step, cause: 'optimizer', ...named(departed), message: told }
}

/** Tensors of the first state at or after a step that depart. */
function stateFrom(states: readonly TensorStep[], step: number): readonly DepartedTensor[] {
  return states.find((one) => one.step >= step)?.departed ?? []
}

function drift(step: number, told: string, departed: readonly DepartedTensor[] = []): Departure {
  const message = `${told}; the difference grew step by step, as rounding does`
  return { step, cause: 'arithmetic', ...named(departed), message }
}

function named(departed: readonly DepartedTensor[]): Pick<Departure, 'tensor' | 'layer' | 'tensors'> {
  const [tensor] = departed
  if (tensor === undefined) return {}
  const { layer } = tensor
  return { tensor, ...(layer !== undefined && { layer }), tensors: departed.length }
}

/** Whether the difference at an index, or soon after, stands out from those before it. */
function jumps(differences: readonly number[], index: number, floor: number): boolean {
  const before = differences.slice(Math.max(0, index - BEFORE), index)
  const from = differences.slice(index, index + AFTER)
  if (before.length === 0) return true
  const high = from.reduce(worse, 0)
  return !(high < JUMP * before.reduce((a, b) => Math.max(a, b), floor))
}

function worstOf(steps: readonly TensorStep[]): number[] {
  return steps.map(({ worst }) => worst)
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${Number((share * 100).toPrecision(2))} %` : 'more than can be said'
}
