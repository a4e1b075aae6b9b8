/** @file Why others lost, in print: each reason once, the nearest of each parameter, and how many are left. */
import { expect, it } from 'vitest'
import type { Rejection } from '../plan/index.ts'
import { reasonTexts } from './plan-text.ts'

const slower = (aspect: Rejection['aspect'], value: number, ratio: number, reason: string): Rejection => ({
  aspect,
  value,
  kind: 'slower',
  reason: `${aspect} ${value}: ${reason}`,
  ratio,
})

it('merges what loses alike, and keeps five of the rest unless all are asked for', () => {
  const rejected: Rejection[] = [
    slower('tensorParallel', 1, 1.5, 'much'),
    slower('tensorParallel', 2, 1.1, 'a little'),
    slower('pipelineParallel', 4, 1.1, 'a little'),
    slower('pipelineParallel', 8, 1.3, 'more'),
    slower('contextParallel', 2, 1.2, 'some'),
    slower('microBatch', 2, 1.01, 'hardly'),
    { aspect: 'zeroStage', value: 0, kind: 'does not fit', reason: 'ZeRO stage 0: 1 GiB over' },
    { aspect: 'schedule', value: '1f1b', kind: 'not possible', reason: 'schedule 1f1b: not with it' },
    slower('tensorParallel', 16, 9, 'most'),
  ]
  expect(reasonTexts(rejected, false)).toEqual([
    'microBatch 2: hardly',
    'tensorParallel 2, pipelineParallel 4: a little',
    'contextParallel 2: some',
    'pipelineParallel 8: more',
    'ZeRO stage 0: 1 GiB over',
    'and 3 more: --reasons all',
  ])
  const all = reasonTexts(rejected, true)
  expect(all).toHaveLength(8)
  expect(new Set(all.map((text) => text.split(': ')[1])).size).toBe(8)
  expect(reasonTexts(rejected.slice(0, 3), false)).toEqual([
    'tensorParallel 1: much',
    'tensorParallel 2, pipelineParallel 4: a little',
  ])
})
