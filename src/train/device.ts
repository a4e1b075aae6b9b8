/** @file Compiled programs bound to tensors: state is found in slots, everything else is allocated by name and shared. */
import { toOnnx } from '../graph/index.ts'
import type { Binding, DeviceTensor, Runtime } from '../runtime/index.ts'
import type { StepProgram } from '../steps/index.ts'
import { legalizeProgram } from './kernels.ts'
import type { TensorSlots } from './state.ts'

export type Device = ReturnType<typeof createDevice>

/** Makes the tensors and programs of one model on a runtime. `inPlace`: states are written over where that is proven safe. */
export function createDevice(runtime: Runtime, inPlace: boolean) {
  const slots = new Map<string, TensorSlots>()
  const shared = new Map<string, DeviceTensor>()
  const disposables: { dispose(): void }[] = []
  let running: Binding | undefined

  const tensor = (name: string, spec: Parameters<Runtime['allocate']>[0]): DeviceTensor => {
    const found = shared.get(name) ?? runtime.allocate(spec)
    shared.set(name, found)
    return found
  }
  return {
    /** Makes the tensors of `held` known by their names; `owned` ones are disposed of with the device. */
    hold(held: TensorSlots, owned = false): void {
      for (const name of held.names) slots.set(name, held)
      if (owned) disposables.push(held)
    },
    /** Compiles a program; the function that comes back runs it once over the current state. */
    async prepare(plain: StepProgram): Promise<() => Promise<void>> {
      const { name, graph, state } = legalizeProgram(plain, runtime.name)
      const program = await runtime.load(toOnnx(graph, name))
      disposables.unshift(program)
      const bindings = new Map<string, Binding>()
      const successors = new Map(state.map((pair) => [pair.output, pair]))
      const doubled = new Set(state.filter((pair) => !(inPlace && pair.inPlace)))
      for (const [input, spec] of program.inputs) if (!slots.has(input)) tensor(input, spec)

      const bind = (): Binding => {
        const inputs = new Map<string, DeviceTensor>()
        const outputs = new Map<string, DeviceTensor>()
        for (const [input, spec] of program.inputs) {
          inputs.set(input, slots.get(input)?.current(input) ?? tensor(input, spec))
        }
        for (const [output, spec] of program.outputs) {
          const pair = successors.get(output)
          if (pair === undefined) outputs.set(output, tensor(output, spec))
          else if (doubled.has(pair)) outputs.set(output, slots.get(pair.input)!.spare(pair.input))
          else outputs.set(output, inputs.get(pair.input)!)
        }
        return program.bind(inputs, outputs)
      }
      return async () => {
        const key = [...program.inputs.keys()].map((input) => slots.get(input)?.side(input) ?? '').join('')
        const binding = bindings.get(key) ?? bind()
        bindings.set(key, binding)
        running = binding
        try {
          await binding.run()
        } finally {
          running = undefined
        }
        for (const { input } of doubled) slots.get(input)!.swap(input)
      }
    },
    write: (name: string, values: Int32Array | Float32Array) => shared.get(name)!.write(bytesOf(values)),
    writeScalar: (name: string, value: number) => shared.get(name)!.write(bytesOf(Float32Array.of(value))),
    async readScalar(name: string): Promise<number> {
      const bytes = await shared.get(name)!.read()
      return new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true)
    },
    /** A tensor that is no state, as a program left it. */
    read: (name: string): Promise<Uint8Array> => shared.get(name)!.read(),
    interrupt: () => running?.interrupt(),
    dispose(): void {
      for (const one of disposables) one.dispose()
      for (const one of shared.values()) one.dispose()
    },
  }
}

function bytesOf(values: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
