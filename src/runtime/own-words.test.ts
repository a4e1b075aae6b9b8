/** @file Messages of ONNX Runtime as they come, and what of them a person is told. */
import { expect, it } from 'vitest'
import { ownWords } from './own-words.ts'

it.each([
  [
    '/onnxruntime_src/onnxruntime/core/providers/webgpu/webgpu_context.cc:136 onnxruntime::webgpu::WebGpuContext::Initialize(const onnxruntime::webgpu::WebGpuContextConfig&)::<lambda()> adapter_result.status == wgpu::RequestAdapterStatus::Success was false. Failed to get a WebGPU adapter: No supported adapters',
    'Failed to get a WebGPU adapter: No supported adapters',
  ],
  [
    'Vulkan shaderUniform*ArrayDynamicIndexing required.\n - While initializing adapter (backend=BackendType::Vulkan)\n    at InitializeImpl (/build/Release/_deps/dawn-src/src/dawn/native/vulkan/PhysicalDeviceVk.cpp:253)',
    'Vulkan shaderUniform*ArrayDynamicIndexing required. - While initializing adapter (backend=BackendType::Vulkan)',
  ],
  [
    "Couldn't load Vulkan.\n    at operator() (/build/dawn/native/vulkan/BackendVk.cpp:368)",
    "Couldn't load Vulkan.",
  ],
  [
    '/src/onnxruntime/core/session/provider_bridge_ort.cc:1080 void onnxruntime::ProviderLibrary::Get() const [ONNXRuntimeError] : 1 : FAIL : Failed to load library libx.so with error: libcublas.so.12: cannot open shared object file',
    '[ONNXRuntimeError] : 1 : FAIL : Failed to load library libx.so with error: libcublas.so.12: cannot open shared object file',
  ],
  [
    'Exception during initialization: /src/core/common/x.cc:54 auto f(int, std::vector<int>)::<lambda(bool)>::operator()(bool) no room for it',
    'Exception during initialization: no room for it',
  ],
  [
    'CANN execution provider is not enabled in this build.',
    'CANN execution provider is not enabled in this build.',
  ],
  ['Invalid rank for input: ids Got: 1 Expected: 2', 'Invalid rank for input: ids Got: 1 Expected: 2'],
  ['/a/b.cc:1 f() x was false.', '/a/b.cc:1 f() x was false.'],
])('%s', (message, words) => expect(ownWords(message)).toBe(words))
