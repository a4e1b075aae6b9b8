/** @file PyTorch's own FSDP2: `fully_shard` alone. */
import { EVERYTHING } from './abilities.ts'
import { BASIC_BEHAVIOUR } from './behaviour.ts'
import type { Engine } from './types.ts'

export const torch: Engine<'torch'> = {
  id: 'torch',
  name: 'PyTorch FSDP2',
  // it runs on any chip that PyTorch does, and is the first choice where no other engine is
  firstChoiceOn: [],
  readFrom: { behaviour: null, abilities: null, rules: null },
  behaviour: {
    ...BASIC_BEHAVIOUR,
    measuredAs: 'torchtitan',
    lineage: 'fsdp',
    fusedLoss: true,
    gradientPlaceholders: false,
    overlapsData: true,
  },
  // weights are gathered for each layer (3) or kept for the backward pass (2), or are whole (0)
  abilities: {
    ...EVERYTHING,
    tensorParallel: false,
    contextMethods: [],
    pipelineParallel: false,
    schedules: ['1f1b'],
    unevenStages: false,
    lighterEnds: false,
    expertParallel: false,
    expertTensorParallel: false,
    zeroStages: [0, 2, 3],
    offloadFrom: undefined,
  },
  rules: [],
}
