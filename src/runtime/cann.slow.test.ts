/** @file ONNX Runtime on CANN by a stand-in: the shared cases, and what is documented of this provider alone. */
import { afterAll, expect, test } from 'vitest'
import { describeStandin } from '../../test/standin/suite.ts'
import { createRuntime } from './index.ts'

const VARIABLE = 'REGAUGE_CANN_LIBRARY'
const given = process.env[VARIABLE]
delete process.env[VARIABLE]
afterAll(() => {
  if (given !== undefined) process.env[VARIABLE] = given
})

test('a library without CANN is one error that says what to do', () => {
  expect(() => createRuntime({ name: 'cann' })).toThrow(
    expect.objectContaining({
      kind: 'environment',
      issues: [
        {
          code: 'RUNTIME_PROVIDER_UNUSABLE',
          message: expect.stringContaining('CANN execution provider is not enabled in this build'),
          file: expect.stringContaining('libonnxruntime'),
          hint: expect.stringContaining(`set ${VARIABLE} to a libonnxruntime built with CANN`),
        },
      ],
    }),
  )
})

describeStandin(
  'cann',
  {
    create: 'CreateCANNProviderOptions',
    update: 'UpdateCANNProviderOptions',
    append: 'SessionOptionsAppendExecutionProvider_CANN',
    release: 'ReleaseCANNProviderOptions',
  },
  () => {},
  ({ standin, make }) => {
    const optionCalls = () => standin.take().filter((line) => /^(Update|SessionOptionsAppend)/.test(line))

    test('float32 stays float32', () => {
      // --precision_mode in Huawei's "ATC" and ge.exec.precision_mode in "Ascend Graph API": by default the graph engine
      // takes float16 for an operation that has it
      make().dispose()
      expect(optionCalls()[0]).toMatch(/precision_mode=must_keep_origin_dtype\)$/)
    })

    test('float32 stays float32 where the option has its second name', () => {
      // cann_execution_provider_info.cc since microsoft/onnxruntime#27970 knows precision_mode_v2 in its place
      standin.precisionOption('precision_mode_v2')
      make().dispose()
      expect(optionCalls()).toEqual([
        expect.stringMatching(/precision_mode=must_keep_origin_dtype\) -> error$/),
        expect.stringMatching(/precision_mode_v2=origin\)$/),
        expect.stringMatching(/^SessionOptionsAppendExecutionProvider_CANN/),
      ])
    })

    test('programs are compiled as graphs', () => {
      // "CANN Execution Provider": else each operation runs by itself, and most of a training step has no kernel for that
      make().dispose()
      expect(optionCalls()[0]).toContain('enable_cann_graph=1')
    })

    test('no state is written over itself', () => {
      // cann_execution_provider.cc: a subgraph is one compiled model, which may write an output before it read all inputs
      expect(make().inPlace).toBe(false)
    })

    test('the library is the one that the environment names', () => {
      process.env[VARIABLE] = standin.library
      const runtime = createRuntime({ name: 'cann' })
      delete process.env[VARIABLE]
      expect(runtime.description).toMatch(/^ONNX Runtime 1\..*, cann:0$/)
      runtime.dispose()
    })
  },
)
