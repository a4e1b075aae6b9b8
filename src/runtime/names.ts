/** @file What runtimes are called by a user; the first runs everywhere. */

export const PROVIDER_NAMES = ['cpu', 'webgpu', 'cuda', 'cann'] as const
export type ProviderName = (typeof PROVIDER_NAMES)[number]
