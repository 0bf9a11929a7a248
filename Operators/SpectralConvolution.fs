// Convolution with a kernel that has few modes.
namespace Continuum

open System
open TorchSharp

/// What a spectral convolution can be told.
type SpectralOptions = {
    /// How the weights are stored.
    Weights: SpectralWeightKind
    /// The share of the dense parameters that factorised weights have, above 0 and at most 1; Dense and Separable ignore it.
    Rank: float
    /// On open axes: kernels have a period of (1 + Padding) lengths, the function being zero beyond its domain. 1 lets no end see the other.
    Padding: float
    /// Modes in use at first; those above have weight zero and wait for Grow. Null: all.
    FirstModes: int[]
} with

    /// Dense weights, a padding of a quarter, all modes at once.
    static member Default = {
        Weights = SpectralWeightKind.Dense
        Rank = 0.5
        Padding = 0.25
        FirstModes = null
    }

/// (K u)(x) = sum over modes k of e_k(x) R_k (1 / |D|) integral of u conj(e_k): the integral operator whose kernel keeps few modes
/// (Li et al. 2021). e_k are the series that the domain's conditions ask for: Fourier on periodic axes (|k| < modes), cosines on
/// Neumann axes (modes of them), sines on Dirichlet axes, and on open axes Fourier with a longer period. R_k are (outputs x inputs) matrices,
/// complex where a Fourier axis is among them. Integrals are sums with quadrature weights, so any discretisation of the domain serves, and the image
/// may be taken at other points than the function. On functions with no more modes than a uniform grid holds, it is exact on that grid.
[<Sealed>]
type SpectralConvolution
    (
        domain: Domain,
        modes: int[],
        inputs: int,
        outputs: int,
        options: SpectralOptions,
        dtype: torch.ScalarType,
        generator: torch.Generator
    ) as this =
    inherit OperatorLayer(nameof SpectralConvolution)

    do
        OperatorChecks.positive "The number of input channels" inputs
        OperatorChecks.positive "The number of output channels" outputs
        OperatorChecks.precision dtype
        ArgumentNullException.ThrowIfNull(domain, nameof domain)
        ArgumentNullException.ThrowIfNull(modes, nameof modes)

        if not (options.Padding >= 0.0 && Double.IsFinite options.Padding) then
            OperatorChecks.bad $"Padding is a share of the length, not negative; got {options.Padding}."

    let bases = SpectralBasis.ofDomain domain options.Padding modes
    let isComplex = bases |> Array.exists _.IsComplex

    let weights =
        new SpectralWeights(
            options.Weights,
            options.Rank,
            bases |> Array.map (fun b -> int64 b.Count),
            isComplex,
            inputs,
            outputs,
            dtype,
            generator
        )

    let mutable active = bases

    let withModes (fewer: int[]) = Array.map2 (fun (b: AxisBasis) m -> { b with Modes = m }) bases fewer

    /// Where the modes in use lie among all.
    let ranges (inUse: AxisBasis[]) =
        Array.map2
            (fun (all: AxisBasis) (some: AxisBasis) ->
                let start = if all.Series = SeriesKind.Fourier then int64 (all.Modes - some.Modes) else 0L

                struct (start, int64 some.Count))
            bases
            inUse

    let check (what: string) (fewer: int[]) =
        if fewer.Length <> modes.Length || Array.exists2 (fun m most -> m < 1 || m > most) fewer modes then
            let got = String.Join(", ", fewer)
            let most = String.Join(", ", modes)

            OperatorChecks.bad
                $"{what} [{got}] must have one number for each axis, from 1 up to the modes of the layer [{most}]."

    do
        this.register_module ("weights", weights)

        if not (isNull options.FirstModes) then
            check "FirstModes" options.FirstModes
            active <- withModes options.FirstModes
            weights.ClearOutside(ranges active)

    /// The domain of its functions.
    member _.Domain = domain
    /// Input channels.
    member _.Inputs = inputs
    /// Output channels.
    member _.Outputs = outputs
    /// The most modes on each axis.
    member _.Modes = Array.copy modes
    /// The modes in use on each axis.
    member _.ActiveModes = active |> Array.map _.Modes
    /// Real parameters.
    member _.ParameterCount = weights.ParameterCount

    /// Takes more modes into use. Their weights are zero until they learn, so the operator stays what it was.
    /// ArgumentException for fewer modes than in use and for more than the layer has.
    member _.Grow(more: int[]) =
        check "The modes" more

        if Array.exists2 (fun m (b: AxisBasis) -> m < b.Modes) more active then
            let got = String.Join(", ", more)
            let now = String.Join(", ", active |> Array.map _.Modes)
            OperatorChecks.bad $"The modes [{got}] are fewer than those in use, [{now}]."

        active <- withModes more

    /// The weights of the modes in use as one tensor: (coefficients of each axis, inputs, outputs), or (.., channels) of separable ones.
    member _.DenseWeights() : Tensor =
        use _ = torch.NewDisposeScope()
        (weights.Assemble(ranges active)).MoveToOuterDisposeScope()

    override this.Pass(pass, source, target, values) =
        OperatorChecks.domain (nameof SpectralConvolution) domain source
        OperatorChecks.channels (nameof SpectralConvolution) inputs values
        OperatorChecks.dtype (nameof SpectralConvolution) (Seq.head (this.parameters ())) values

        if not (Object.ReferenceEquals(source, target)) then
            OperatorChecks.domain (nameof SpectralConvolution) domain target

        let forward = pass.Transform(source, active)
        let coefficients = forward.Forward values
        let w = weights.Assemble(ranges active)
        let shape = coefficients.shape
        let batch = shape[0]
        let counts = shape[2..]
        let d = counts.Length

        let image =
            if options.Weights = SpectralWeightKind.Separable then
                let last = Array.init d (fun i -> int64 i)
                coefficients.mul (w.permute (Array.append [| int64 d |] last))
            else
                // Modes first: for each mode (batch, inputs) times (inputs, outputs).
                let total = Array.fold (*) 1L counts
                let byMode = coefficients.reshape([| batch; int64 inputs; total |]).permute(2L, 0L, 1L)
                let mixed = torch.bmm (byMode, w.reshape ([| total; int64 inputs; int64 outputs |]))
                mixed.permute(1L, 2L, 0L).reshape(Array.append [| batch; int64 outputs |] counts)

        (if Object.ReferenceEquals(source, target) then
             forward
         else
             pass.Transform(target, active))
            .Inverse
            image
