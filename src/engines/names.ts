/** @file What engines are called by a user. */

export const ENGINE_IDS = ['megatron-lm', 'mindspeed-llm', 'torch'] as const
export type EngineId = (typeof ENGINE_IDS)[number]
