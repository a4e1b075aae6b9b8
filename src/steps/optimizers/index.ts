/** @file Optimizers as data: a file and a row of `OPTIMIZERS` each. */
export type { CommonOptions, OptimizerRule, Trained, Updated } from './rule.ts'
export {
  DEFAULT_OPTIMIZER,
  kindOf,
  OPTIMIZER_KINDS,
  OPTIMIZERS,
  type Optimizer,
  type OptimizerKind,
  type OptimizerOption,
  optimizerState,
  optimizerStateBytes,
  requireKind,
  ruleOf,
  type StateTensor,
  stateBytesPerValue,
  stateOf,
  stepScalarNames,
  stepScalars,
} from './table.ts'
export { type TrainedParameter, type UpdateInputs, updateParameters } from './update.ts'
