import { bind, type Library, type NativeFunction, type Pointer } from "./ffi.ts";

type P = Pointer;
type N = P | null;

/** The functions of `ggml-base` that the product and its tests call, one line each, typed by their C signatures. */
export function bindGgml(lib: Library) {
  const f = <A extends unknown[], R>(signature: string): NativeFunction<A, R> =>
    bind<A, R>(lib, signature);
  return {
    // contexts, tensors
    init: f<[object], P>("void* ggml_init(ggml_init_params)"),
    free: f<[P], void>("void ggml_free(void*)"),
    tensorOverhead: f<[], number>("size_t ggml_tensor_overhead()"),
    graphOverhead: f<[number, boolean], number>("size_t ggml_graph_overhead_custom(size_t,bool)"),
    typeSize: f<[number], number>("size_t ggml_type_size(int)"),
    blockSize: f<[number], number>("int64_t ggml_blck_size(int)"),
    newTensor: f<[P, number, number, BigInt64Array], P>(
      "void* ggml_new_tensor(void*,int,int,const int64_t*)",
    ),
    setName: f<[P, string], P>("void* ggml_set_name(void*,const char*)"),
    nbytes: f<[P], number>("size_t ggml_nbytes(void*)"),
    setInput: f<[P], void>("void ggml_set_input(void*)"),
    setOutput: f<[P], void>("void ggml_set_output(void*)"),
    // operations
    add: f<[P, P, P], P>("void* ggml_add(void*,void*,void*)"),
    sub: f<[P, P, P], P>("void* ggml_sub(void*,void*,void*)"),
    mul: f<[P, P, P], P>("void* ggml_mul(void*,void*,void*)"),
    div: f<[P, P, P], P>("void* ggml_div(void*,void*,void*)"),
    clamp: f<[P, P, number, number], P>("void* ggml_clamp(void*,void*,float,float)"),
    rmsNorm: f<[P, P, number], P>("void* ggml_rms_norm(void*,void*,float)"),
    norm: f<[P, P, number], P>("void* ggml_norm(void*,void*,float)"),
    mulMat: f<[P, P, P], P>("void* ggml_mul_mat(void*,void*,void*)"),
    mulMatId: f<[P, P, P, P], P>("void* ggml_mul_mat_id(void*,void*,void*,void*)"),
    outProd: f<[P, P, P], P>("void* ggml_out_prod(void*,void*,void*)"),
    addId: f<[P, P, P, P], P>("void* ggml_add_id(void*,void*,void*,void*)"),
    swigluSplit: f<[P, P, P], P>("void* ggml_swiglu_split(void*,void*,void*)"),
    swiglu: f<[P, P], P>("void* ggml_swiglu(void*,void*)"),
    gegluSplit: f<[P, P, P], P>("void* ggml_geglu_split(void*,void*,void*)"),
    swigluOai: f<[P, P, P, number, number], P>(
      "void* ggml_swiglu_oai(void*,void*,void*,float,float)",
    ),
    gelu: f<[P, P], P>("void* ggml_gelu(void*,void*)"),
    silu: f<[P, P], P>("void* ggml_silu(void*,void*)"),
    sigmoid: f<[P, P], P>("void* ggml_sigmoid(void*,void*)"),
    softplus: f<[P, P], P>("void* ggml_softplus(void*,void*)"),
    floor: f<[P, P], P>("void* ggml_floor(void*,void*)"),
    log: f<[P, P], P>("void* ggml_log(void*,void*)"),
    scaleBias: f<[P, P, number, number], P>("void* ggml_scale_bias(void*,void*,float,float)"),
    softMax: f<[P, P], P>("void* ggml_soft_max(void*,void*)"),
    softMaxExt: f<[P, P, N, number, number], P>(
      "void* ggml_soft_max_ext(void*,void*,void*,float,float)",
    ),
    softMaxAddSinks: f<[P, P], void>("void ggml_soft_max_add_sinks(void*,void*)"),
    diagMaskInfInplace: f<[P, P, number], P>("void* ggml_diag_mask_inf_inplace(void*,void*,int)"),
    diagMaskZero: f<[P, P, number], P>("void* ggml_diag_mask_zero(void*,void*,int)"),
    tanh: f<[P, P], P>("void* ggml_tanh(void*,void*)"),
    scale: f<[P, P, number], P>("void* ggml_scale(void*,void*,float)"),
    relu: f<[P, P], P>("void* ggml_relu(void*,void*)"),
    pool1d: f<[P, P, number, number, number, number], P>(
      "void* ggml_pool_1d(void*,void*,int,int,int,int)",
    ),
    sumRows: f<[P, P], P>("void* ggml_sum_rows(void*,void*)"),
    argmax: f<[P, P], P>("void* ggml_argmax(void*,void*)"),
    argsortTopK: f<[P, P, number], P>("void* ggml_argsort_top_k(void*,void*,int)"),
    ropeExt: f<
      [P, P, P, N, number, number, number, number, number, number, number, number, number],
      P
    >(
      "void* ggml_rope_ext(void*,void*,void*,void*,int,int,int,float,float,float,float,float,float)",
    ),
    flashAttnExt: f<[P, P, P, P, N, number, number, number], P>(
      "void* ggml_flash_attn_ext(void*,void*,void*,void*,void*,float,float,float)",
    ),
    flashAttnAddSinks: f<[P, P], void>("void ggml_flash_attn_ext_add_sinks(void*,void*)"),
    ssmConv: f<[P, P, P], P>("void* ggml_ssm_conv(void*,void*,void*)"),
    gatedDeltaNet: f<[P, P, P, P, P, P, P, number], P>(
      "void* ggml_gated_delta_net(void*,void*,void*,void*,void*,void*,void*,int64_t)",
    ),
    getRows: f<[P, P, P], P>("void* ggml_get_rows(void*,void*,void*)"),
    setRows: f<[P, P, P, P], P>("void* ggml_set_rows(void*,void*,void*,void*)"),
    cpy: f<[P, P, P], P>("void* ggml_cpy(void*,void*,void*)"),
    cont: f<[P, P], P>("void* ggml_cont(void*,void*)"),
    cast: f<[P, P, number], P>("void* ggml_cast(void*,void*,int)"),
    concat: f<[P, P, P, number], P>("void* ggml_concat(void*,void*,void*,int)"),
    permute: f<[P, P, number, number, number, number], P>(
      "void* ggml_permute(void*,void*,int,int,int,int)",
    ),
    repeat4d: f<[P, P, number, number, number, number], P>(
      "void* ggml_repeat_4d(void*,void*,int64_t,int64_t,int64_t,int64_t)",
    ),
    reshape4d: f<[P, P, number, number, number, number], P>(
      "void* ggml_reshape_4d(void*,void*,int64_t,int64_t,int64_t,int64_t)",
    ),
    reshape3d: f<[P, P, number, number, number], P>(
      "void* ggml_reshape_3d(void*,void*,int64_t,int64_t,int64_t)",
    ),
    reshape2d: f<[P, P, number, number], P>("void* ggml_reshape_2d(void*,void*,int64_t,int64_t)"),
    view1d: f<[P, P, number, number], P>("void* ggml_view_1d(void*,void*,int64_t,size_t)"),
    view2d: f<[P, P, number, number, number, number], P>(
      "void* ggml_view_2d(void*,void*,int64_t,int64_t,size_t,size_t)",
    ),
    view3d: f<[P, P, number, number, number, number, number, number], P>(
      "void* ggml_view_3d(void*,void*,int64_t,int64_t,int64_t,size_t,size_t,size_t)",
    ),
    view4d: f<[P, P, number, number, number, number, number, number, number, number], P>(
      "void* ggml_view_4d(void*,void*,int64_t,int64_t,int64_t,int64_t,size_t,size_t,size_t,size_t)",
    ),
    custom4d: f<[P, number, number, number, number, number, readonly P[], number, P, number, P], P>(
      "void* ggml_custom_4d(void*,int,int64_t,int64_t,int64_t,int64_t,void**,int,void*,int,void*)",
    ),
    quantizeChunk: f<
      [number, Float32Array, Uint8Array, number, number, number, Float32Array],
      number
    >(
      "size_t ggml_quantize_chunk(int,const float*,_Out_ void*,int64_t,int64_t,int64_t,const float*)",
    ),
    typeTraits: f<[number], P>("void* ggml_get_type_traits(int)"),
    // graphs
    newGraph: f<[P, number, boolean], P>("void* ggml_new_graph_custom(void*,size_t,bool)"),
    buildForwardExpand: f<[P, P], void>("void ggml_build_forward_expand(void*,void*)"),
    gallocrNew: f<[P], P>("void* ggml_gallocr_new(void*)"),
    gallocrFree: f<[P], void>("void ggml_gallocr_free(void*)"),
    gallocrAllocGraph: f<[P, P], boolean>("bool ggml_gallocr_alloc_graph(void*,void*)"),
    // backends and buffers
    deviceInit: f<[P, string | null], N>("void* ggml_backend_dev_init(void*,const char*)"),
    deviceDescription: f<[P], string>("const char* ggml_backend_dev_description(void*)"),
    deviceRegistry: f<[P], P>("void* ggml_backend_dev_backend_reg(void*)"),
    deviceSupportsOp: f<[P, P], boolean>("bool ggml_backend_dev_supports_op(void*,void*)"),
    registryProc: f<[P, string], N>("void* ggml_backend_reg_get_proc_address(void*,const char*)"),
    threadpoolParamsInit: f<[Uint8Array, number], void>(
      "void ggml_threadpool_params_init(_Inout_ void*,int)",
    ),
    backendFree: f<[P], void>("void ggml_backend_free(void*)"),
    graphCompute: f<[P, P], number>("int ggml_backend_graph_compute(void*,void*)"),
    defaultBufferType: f<[P], P>("void* ggml_backend_get_default_buffer_type(void*)"),
    bufferTypeAlloc: f<[P, number], N>("void* ggml_backend_buft_alloc_buffer(void*,size_t)"),
    allocContextTensors: f<[P, P], N>(
      "void* ggml_backend_alloc_ctx_tensors_from_buft(void*,void*)",
    ),
    bufferFromPointer: f<[P, number], P>("void* ggml_backend_cpu_buffer_from_ptr(void*,size_t)"),
    tensorAlloc: f<[P, P, P], number>("int ggml_backend_tensor_alloc(void*,void*,void*)"),
    bufferFree: f<[P], void>("void ggml_backend_buffer_free(void*)"),
    bufferIsHost: f<[P], boolean>("bool ggml_backend_buffer_is_host(void*)"),
    bufferTypeIsHost: f<[P], boolean>("bool ggml_backend_buft_is_host(void*)"),
    bufferSize: f<[P], number>("size_t ggml_backend_buffer_get_size(void*)"),
    tensorData: f<[P], P>("void* ggml_get_data(void*)"),
    tensorMemset: f<[P, number, number, number], void>(
      "void ggml_backend_tensor_memset(void*,uint8_t,size_t,size_t)",
    ),
    tensorSet: f<[P, ArrayBufferView | ArrayBuffer, number, number], void>(
      "void ggml_backend_tensor_set(void*,const void*,size_t,size_t)",
    ),
    tensorGet: f<[P, ArrayBufferView, number, number], void>(
      "void ggml_backend_tensor_get(void*,_Out_ void*,size_t,size_t)",
    ),
  };
}

/** The functions of the `ggml` library itself: its registry of backends and devices. */
export function bindRegistry(lib: Library) {
  return {
    loadAllFrom: bind<[string], void>(lib, "void ggml_backend_load_all_from_path(const char*)"),
    deviceByType: bind<[number], N>(lib, "void* ggml_backend_dev_by_type(int)"),
  };
}

/** The functions of libllama that the product calls: its vocabulary and its samplers. */
export function bindLlama(lib: Library) {
  const f = <A extends unknown[], R>(signature: string): NativeFunction<A, R> =>
    bind<A, R>(lib, signature);
  return {
    logSet: f<[P | null, null], void>("void llama_log_set(void*,void*)"),
    modelDefaultParams: f<[], Record<string, unknown>>(
      "llama_model_params llama_model_default_params()",
    ),
    modelLoad: f<[string, object], N>(
      "void* llama_model_load_from_file(const char*,llama_model_params)",
    ),
    modelFree: f<[P], void>("void llama_model_free(void*)"),
    modelVocab: f<[P], P>("void* llama_model_get_vocab(void*)"),
    vocabSize: f<[P], number>("int32_t llama_vocab_n_tokens(void*)"),
    vocabBos: f<[P], number>("int32_t llama_vocab_bos(void*)"),
    vocabEos: f<[P], number>("int32_t llama_vocab_eos(void*)"),
    vocabText: f<[P, number], string>("const char* llama_vocab_get_text(void*,int32_t)"),
    vocabIsEog: f<[P, number], boolean>("bool llama_vocab_is_eog(void*,int32_t)"),
    vocabAttributes: f<[P, number], number>("int32_t llama_vocab_get_attr(void*,int32_t)"),
    vocabAddsEos: f<[P], boolean>("bool llama_vocab_get_add_eos(void*)"),
    vocabAddsBos: f<[P], boolean>("bool llama_vocab_get_add_bos(void*)"),
    tokenize: f<[P, Uint8Array, number, Int32Array, number, boolean, boolean], number>(
      "int32_t llama_tokenize(void*,const void*,int32_t,_Out_ int32_t*,int32_t,bool,bool)",
    ),
    tokenToPiece: f<[P, number, Uint8Array, number, number, boolean], number>(
      "int32_t llama_token_to_piece(void*,int32_t,_Out_ void*,int32_t,int32_t,bool)",
    ),
    // samplers
    chainInit: f<[object], P>("void* llama_sampler_chain_init(llama_sampler_chain_params)"),
    chainAdd: f<[P, P], void>("void llama_sampler_chain_add(void*,void*)"),
    samplerApply: f<[P, P], void>("void llama_sampler_apply(void*,void*)"),
    samplerAccept: f<[P, number], void>("void llama_sampler_accept(void*,int32_t)"),
    samplerFree: f<[P], void>("void llama_sampler_free(void*)"),
    initGreedy: f<[], P>("void* llama_sampler_init_greedy()"),
    initDist: f<[number], P>("void* llama_sampler_init_dist(uint32_t)"),
    initTopK: f<[number], P>("void* llama_sampler_init_top_k(int32_t)"),
    initTopP: f<[number, number], P>("void* llama_sampler_init_top_p(float,size_t)"),
    initMinP: f<[number, number], P>("void* llama_sampler_init_min_p(float,size_t)"),
    initTemp: f<[number], P>("void* llama_sampler_init_temp(float)"),
    initPenalties: f<[number, number, number, number, number], P>(
      "void* llama_sampler_init_penalties(int32_t,int32_t,float,float,float)",
    ),
    initLogitBias: f<[number, number, Uint8Array], P>(
      "void* llama_sampler_init_logit_bias(int32_t,int32_t,const void*)",
    ),
    // the full engine, as oracle and peer only (src/bench, tests)
    contextDefaultParams: f<[], Record<string, unknown>>(
      "llama_context_params llama_context_default_params()",
    ),
    contextInit: f<[P, object], N>("void* llama_init_from_model(void*,llama_context_params)"),
    contextFree: f<[P], void>("void llama_free(void*)"),
    contextSynchronize: f<[P], void>("void llama_synchronize(void*)"),
    batchGetOne: f<[Int32Array, number], object>(
      "llama_batch llama_batch_get_one(int32_t*,int32_t)",
    ),
    batchInit: f<[number, number, number], LlamaBatch>(
      "llama_batch llama_batch_init(int32_t,int32_t,int32_t)",
    ),
    batchFree: f<[LlamaBatch], void>("void llama_batch_free(llama_batch)"),
    contextMemory: f<[P], P>("void* llama_get_memory(void*)"),
    copySequence: f<[P, number, number, number, number], void>(
      "void llama_memory_seq_cp(void*,int32_t,int32_t,int32_t,int32_t)",
    ),
    decode: f<[P, object], number>("int32_t llama_decode(void*,llama_batch)"),
    logits: f<[P, number], N>("void* llama_get_logits_ith(void*,int32_t)"),
  };
}

/** `struct llama_batch`, with memory for its tokens. */
export interface LlamaBatch {
  n_tokens: number;
  readonly token: Pointer;
  readonly pos: Pointer;
  readonly n_seq_id: Pointer;
  readonly seq_id: Pointer;
  readonly logits: Pointer;
}

export type GgmlFunctions = ReturnType<typeof bindGgml>;
export type RegistryFunctions = ReturnType<typeof bindRegistry>;
export type LlamaFunctions = ReturnType<typeof bindLlama>;
