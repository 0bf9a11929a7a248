// The multipliers of spectral convolutions: one small matrix for each kept mode, stored whole or in factors.
namespace Continuum

open System
open TorchSharp

/// How the weights of a spectral convolution, a tensor with an axis for the modes of each axis of the domain, one for inputs and one for
/// outputs, are stored.
type SpectralWeightKind =
    /// Every entry.
    | Dense = 0
    /// A multiplier for each mode and channel: channels do not mix.
    | Separable = 1
    /// A sum of products of vectors: canonical polyadic (CP) decomposition.
    | Cp = 2
    /// A small core tensor times a matrix on every axis: Tucker decomposition.
    | Tucker = 3
    /// A chain of tensors with three axes: tensor train (Oseledets 2011).
    | TensorTrain = 4

/// Weights by mode, as a module: parameters are real; complex ones have a last axis of real and imaginary parts.
/// `counts` are the numbers of coefficients on each axis. Entries have standard deviation sqrt(2 / (inputs + outputs)).
[<Sealed>]
type internal SpectralWeights
    (
        kind: SpectralWeightKind,
        rank: float,
        counts: int64[],
        isComplex: bool,
        inputs: int,
        outputs: int,
        dtype: torch.ScalarType,
        generator: torch.Generator
    ) as this =
    inherit torch.nn.Module(nameof SpectralWeights)

    static let bad (text: string) = raise (ArgumentException text)

    let dims =
        if kind = SpectralWeightKind.Separable then
            Array.append counts [| int64 inputs |]
        else
            Array.append counts [| int64 inputs; int64 outputs |]

    do
        if kind = SpectralWeightKind.Separable && inputs <> outputs then
            bad $"Separable weights keep the channels apart: inputs and outputs must agree; got {inputs} and {outputs}."

        if not (rank > 0.0 && rank <= 1.0) then
            bad $"The rank of factorised weights is a share of the dense parameters, above 0 and at most 1; got {rank}."

    do
        if kind = SpectralWeightKind.Dense || kind = SpectralWeightKind.Separable then
            OperatorChecks.weights "A spectral convolution" dims
        else
            for size in dims do
                OperatorChecks.weights "A spectral convolution" [| size; size |]

    let total = dims |> Array.fold (fun n d -> n * float d) 1.0
    let deviation = sqrt (2.0 / float (inputs + outputs))

    /// Normal numbers, complex ones with this deviation in all.
    let draw (name: string) (deviation: float) (shape: int64[]) : string =
        use _ = torch.NewDisposeScope()
        let full = if isComplex then Array.append shape [| 2L |] else shape
        let deviation = if isComplex then deviation / sqrt 2.0 else deviation
        let values = torch.randn (full, dtype = Nullable torch.float64, generator = generator)
        let parameter = Owned.parameter (values.mul(deviation).``to`` dtype)
        this.register_parameter (name, parameter)
        name

    let ranks: int64[] =
        let least (r: float) = max 1L (int64 (Math.Round r))

        match kind with
        | SpectralWeightKind.Cp -> [| least (rank * total / float (Array.sum dims)) |]
        | SpectralWeightKind.Tucker ->
            // The same share s of every axis, so that core and factors together have rank * total entries.
            let parameters s =
                let r = dims |> Array.map (fun d -> s * float d)
                (r |> Array.fold (*) 1.0) + (Array.map2 (fun r d -> r * float d) r dims |> Array.sum)

            let mutable low, high = 0.0, 1.0

            for _ in 1..60 do
                let middle = 0.5 * (low + high)
                if parameters middle > rank * total then high <- middle else low <- middle

            dims |> Array.map (fun d -> least (low * float d))
        | SpectralWeightKind.TensorTrain ->
            // One rank r for every link: r d_1 + r^2 (d_2 + .. ) + r d_n.
            let n = dims.Length
            let inner = dims[1 .. n - 2] |> Array.sumBy float
            let outer = float (dims[0] + dims[n - 1])

            let r =
                if inner = 0.0 then
                    rank * total / outer
                else
                    (sqrt (outer * outer + 4.0 * inner * rank * total) - outer) / (2.0 * inner)

            // No link needs more than what lies on its smaller side.
            Array.init (n - 1) (fun i ->
                let left = dims[..i] |> Array.fold (fun p d -> p * float d) 1.0
                min (least r) (least (min left (total / left))))
        | _ -> [||]

    let letters = "abcdefgh"

    /// Their names: moving a module to another device replaces its parameters.
    let names: string[] =
        match kind with
        | SpectralWeightKind.Dense
        | SpectralWeightKind.Separable ->
            let deviation = if kind = SpectralWeightKind.Separable then 1.0 else deviation

            [| draw "weight" deviation dims |]
        | SpectralWeightKind.Cp ->
            let r = ranks[0]
            let factors = dims |> Array.mapi (fun i d -> draw $"factor{i}" 1.0 [| d; r |])
            Array.append factors [| draw "scale" (deviation / sqrt (float r)) [| r |] |]
        | SpectralWeightKind.Tucker ->
            let factors = Array.map2 (fun d r -> struct (d, r)) dims ranks
            let factors = factors |> Array.mapi (fun i (struct (d, r)) -> draw $"factor{i}" 1.0 [| d; r |])
            let size = ranks |> Array.fold (fun p r -> p * float r) 1.0
            Array.append factors [| draw "core" (deviation / sqrt size) ranks |]
        | SpectralWeightKind.TensorTrain ->
            let links = Array.concat [ [| 1L |]; ranks; [| 1L |] ]
            let size = ranks |> Array.fold (fun p r -> p * float r) 1.0

            dims
            |> Array.mapi (fun i d ->
                draw $"core{i}" (if i = 0 then deviation / sqrt size else 1.0) [| links[i]; d; links[i + 1] |])
        | other -> raise (ArgumentOutOfRangeException(nameof kind, other, "not a kind of spectral weights"))

    let parts () = names |> Array.map (fun name -> this.get_parameter name)

    /// The axis of a part on which modes of domain axis i lie, or -1.
    let modeAxis (part: int) (i: int) =
        match kind with
        | SpectralWeightKind.Dense
        | SpectralWeightKind.Separable -> i
        | SpectralWeightKind.TensorTrain -> if part = i then 1 else -1
        | _ -> if part = i then 0 else -1

    let narrowed (part: int) (ranges: struct (int64 * int64)[]) (value: Tensor) =
        let mutable x = value

        for i in 0 .. ranges.Length - 1 do
            let axis = modeAxis part i
            let struct (start, count) = ranges[i]

            if axis >= 0 && count < x.shape[axis] then
                x <- x.narrow (int64 axis, start, count)

        x

    let number (x: Tensor) = if isComplex then torch.view_as_complex (x.contiguous ()) else x

    let assemble (x: Tensor[]) : Tensor =
        let n = dims.Length

        match kind with
        | SpectralWeightKind.Cp ->
            let factors = String.Join(",", Array.init n (fun i -> $"{letters[i]}z"))
            torch.einsum ($"{factors},z->{letters[.. n - 1]}", x)
        | SpectralWeightKind.Tucker ->
            // One factor after another on the core keeps what lies between small.
            let mutable core = x[n]

            for i in 0 .. n - 1 do
                core <- torch.tensordot (core, x[i], [| 0L |], [| 1L |])

            core
        | SpectralWeightKind.TensorTrain ->
            let mutable chain = x[0]

            for i in 1 .. n - 1 do
                chain <- torch.tensordot (chain, x[i], [| int64 i + 1L |], [| 0L |])

            chain.squeeze(0L).squeeze(int64 n)
        | _ -> x[0]

    /// Parameters of all parts, real numbers counted.
    member _.ParameterCount = parts () |> Array.sumBy _.numel()

    /// The weights of a range (start, count) of the coefficients of each axis: (counts, inputs, outputs), or (counts, channels) of separable ones.
    member _.Assemble(ranges: struct (int64 * int64)[]) : Tensor =
        parts () |> Array.mapi (fun part value -> number (narrowed part ranges value)) |> assemble

    /// Sets to zero the weights outside of these ranges.
    member _.ClearOutside(ranges: struct (int64 * int64)[]) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        parts ()
        |> Array.iteri (fun part value ->
            for i in 0 .. ranges.Length - 1 do
                let axis = modeAxis part i

                if axis >= 0 then
                    let struct (start, count) = ranges[i]
                    let size = value.shape[axis]

                    if start > 0L then
                        value.narrow(int64 axis, 0L, start).zero_() |> ignore

                    if start + count < size then
                        value.narrow(int64 axis, start + count, size - start - count).zero_() |> ignore)
