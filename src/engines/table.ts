/** @file The engines that runs are planned for, by their ids. */
import type { Chip } from '../chips/index.ts'
import { megatronLm } from './megatron-lm.ts'
import { mindSpeedLlm } from './mindspeed-llm.ts'
import { torch } from './torch.ts'
import { ENGINE_IDS, type Engine, type EngineId } from './types.ts'

export const ENGINES: { readonly [Id in EngineId]: Engine<Id> } = {
  'megatron-lm': megatronLm,
  'mindspeed-llm': mindSpeedLlm,
  torch,
}

/** The engine that is the first choice for a chip; `torch`, which runs wherever PyTorch does, where none is. */
export function engineFor({ software: { runtime } }: Chip): Engine {
  const id = ENGINE_IDS.find((one) => runtime !== null && ENGINES[one].firstChoiceOn.includes(runtime))
  return ENGINES[id ?? 'torch']
}
