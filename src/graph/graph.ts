/** @file A graph of tensor operations: nodes in the order of their making, each after its inputs. */
import type { TensorSpec } from './dtype.ts'
import type { Op, OpAttributes } from './ops.ts'
import { inferShapes } from './shape.ts'

/** One output of one node. */
export interface Tensor extends TensorSpec {
  readonly node: Node
  /** Which output of the node. */
  readonly index: number
}

/** One operation on tensors. */
export interface Node<K extends Op = Op> {
  readonly graph: Graph
  /** Position in `graph.nodes`. */
  readonly id: number
  readonly op: K
  readonly attributes: OpAttributes[K]
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  /** Where in the model the node was made, such as `layers.3.attention`: names in files and profiles. */
  readonly scope: string
}

/** Cotangents of `inputs`, from the cotangent of the tensor whose gradient is overridden. */
export type GradientOverride = (
  cotangent: Tensor,
  inputs: readonly Tensor[],
  residuals: readonly Tensor[],
) => readonly (Tensor | undefined)[]

/** A gradient given by hand, in place of the walk through the nodes between `inputs` and the output. */
export interface Override {
  readonly inputs: readonly Tensor[]
  /** Further forward values that the rule reads. */
  readonly residuals: readonly Tensor[]
  readonly rule: GradientOverride
}

/** Operations on tensors, with named inputs and outputs. Grows by `node`; passes make a new graph. */
export class Graph {
  readonly nodes: Node[] = []
  readonly inputs = new Map<string, Tensor>()
  readonly outputs = new Map<string, Tensor>()
  readonly overrides = new Map<Tensor, Override>()
  /** Scope given to new nodes. */
  scope = ''

  /** Adds a node; its output types follow from the shape rules. Throws TypeError on inputs that do not fit. */
  node<K extends Op>(op: K, attributes: OpAttributes[K], inputs: readonly Tensor[]): readonly Tensor[] {
    for (const input of inputs) {
      if (input.node.graph !== this)
        throw new TypeError(`${op}: input ${describe(input)} is of another graph`)
    }
    const outputs: Tensor[] = []
    const node: Node<K> = {
      graph: this,
      id: this.nodes.length,
      op,
      attributes,
      inputs,
      outputs,
      scope: this.scope,
    }
    for (const spec of inferShapes(op, attributes, inputs)) {
      outputs.push({ ...spec, node: node as Node, index: outputs.length })
    }
    this.nodes.push(node as Node)
    return outputs
  }

  /** A value given from outside. Throws when the name is taken. */
  input(name: string, spec: TensorSpec): Tensor {
    if (this.inputs.has(name)) throw new TypeError(`input ${name} exists already`)
    if (this.outputs.has(name)) throw new TypeError(`input ${name} has the name of an output`)
    const tensor = this.node('input', { name, dtype: spec.dtype, shape: spec.shape }, [])[0]!
    this.inputs.set(name, tensor)
    return tensor
  }

  /** Names a value that the program gives back. Throws when the name is taken. */
  output(name: string, tensor: Tensor): void {
    if (tensor.node.graph !== this) throw new TypeError(`output ${name} is of another graph`)
    if (this.outputs.has(name)) throw new TypeError(`output ${name} exists already`)
    if (this.inputs.has(name)) throw new TypeError(`output ${name} has the name of an input`)
    this.outputs.set(name, tensor)
  }

  /** Runs `build` with `name` added to the scope of the nodes that it makes. */
  within<T>(name: string, build: () => T): T {
    const outer = this.scope
    this.scope = outer === '' ? name : `${outer}.${name}`
    try {
      return build()
    } finally {
      this.scope = outer
    }
  }

  /** Replaces the gradient of `tensor` towards `inputs` by a rule, where algebra beats the chain rule. */
  overrideGradient(
    tensor: Tensor,
    inputs: readonly Tensor[],
    residuals: readonly Tensor[],
    rule: GradientOverride,
  ): Tensor {
    const { node } = tensor
    if (node.outputs.length > 1)
      throw new TypeError(`${describe(tensor)} is one of several outputs: no override`)
    const late = inputs.find((input) => input.node.id >= node.id)
    if (late !== undefined)
      throw new TypeError(`override of ${describe(tensor)}: ${describe(late)} is made later`)
    this.overrides.set(tensor, { inputs, residuals, rule })
    return tensor
  }
}

/** `matmul:0 float32[2,3]`, for messages. */
export function describe(tensor: Tensor): string {
  return `${tensor.node.op}#${tensor.node.id}:${tensor.index} ${tensor.dtype}[${tensor.shape.join(',')}]`
}

/** Narrows a node to one operation. */
export function isOp<K extends Op>(node: Node, op: K): node is Node<K> & Node {
  return node.op === op
}
