/** @file ONNX Runtime on CUDA by a stand-in: the shared cases, and what is documented of this provider alone. */
import { renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { describeStandin } from '../../test/standin/suite.ts'

/** Where ONNX Runtime looks for the provider's own libraries: beside itself. */
const beside = (library: string, part: string) =>
  join(dirname(library), `libonnxruntime_providers_${part}.so`)

describeStandin(
  'cuda',
  {
    create: 'CreateCUDAProviderOptions',
    update: 'UpdateCUDAProviderOptions',
    append: 'SessionOptionsAppendExecutionProvider_CUDA_V2',
    release: 'ReleaseCUDAProviderOptions',
  },
  ({ library }) => {
    for (const part of ['shared', 'cuda']) writeFileSync(beside(library, part), '')
  },
  ({ standin, make }) => {
    test('products of float32 keep all its bits', () => {
      // use_tf32 in "CUDA Execution Provider": 1 by default
      make().dispose()
      expect(standin.take().find((line) => line.startsWith('UpdateCUDA'))).toMatch(/use_tf32=0\)$/)
    })

    test.skipIf(process.platform !== 'linux').each([
      [['cuda'], 'libonnxruntime_providers_cuda.so is not beside'],
      [
        ['shared', 'cuda'],
        'libonnxruntime_providers_shared.so and libonnxruntime_providers_cuda.so are not beside',
      ],
    ])('missing libraries of the provider are named: %s', (parts, message) => {
      const paths = parts.map((part) => beside(standin.library, part))
      for (const path of paths) renameSync(path, `${path}.away`)
      try {
        expect(() => make()).toThrow(
          expect.objectContaining({
            kind: 'environment',
            issues: [
              {
                code: 'RUNTIME_PROVIDER_MISSING',
                message: `${message} ONNX Runtime's library`,
                file: standin.library,
                hint: expect.stringContaining('set REGAUGE_CUDA_LIBRARY to the libonnxruntime'),
              },
            ],
          }),
        )
      } finally {
        for (const path of paths) renameSync(`${path}.away`, path)
      }
    })
  },
)
