// The kernels of methods for equations on arrays, one path or groups of paths.
namespace Continuum

#nowarn "3535" "3536"

open System

/// Makes the kernel of a method for an equation of a known type: for one path ('T = LaneReal) or for groups of paths in lanes.
[<RequireQualifiedAccess>]
module internal ArraySdeKernels =
    let private bad (text: string) = raise (ArgumentException text)

    /// Whether the method asks for derivatives of g.
    let needsDerivative (scheme: SdeScheme) (noise: NoiseKind) =
        match scheme with
        | SdeScheme.Milstein(_, true) -> noise <> NoiseKind.Additive
        | SdeScheme.LogOde _ -> noise = NoiseKind.General
        | _ -> false

    /// ArgumentException where the method cannot be had for this equation, naming one that can.
    let check (scheme: SdeScheme) (terms: ArraySdeTerms) =
        if scheme.IsReversibleHeun then
            bad "ReversibleHeun works on tensors only, where it serves gradients; on arrays take Heun."

        if not terms.IsGeneric && needsDerivative scheme terms.EffectiveNoise then
            let other =
                match scheme with
                | SdeScheme.Milstein(CalculusKind.Ito, _) -> "MilsteinFree"
                | _ -> "MilsteinFreeStratonovich"

            bad
                $"{SdeSchemes.name scheme} needs derivatives of the diffusion, which delegates do not give; take {other}, or write the equation as an IGenericSde."

    /// The space of groups of paths with these parameters, one set after another for each group.
    let space<'T, 'G when 'T: struct and 'T :> IReal<'T> and 'G: struct and 'G :> IGenericSde>
        (scheme: SdeScheme)
        (terms: ArraySdeTerms)
        (field: 'G)
        (parameters: float[])
        (groups: int)
        =
        let duals =
            if needsDerivative scheme terms.EffectiveNoise then
                SdeDuals<'T>(terms.Size, terms.NoiseSize, terms.ParameterCount, terms.DiffusionSize)
            else
                Unchecked.defaultof<SdeDuals<'T>>

        ArraySdeSpace<'T, 'G>(field, terms.Noise, parameters, groups, duals)

    /// An explicit kernel.
    let explicit<'T, 'G when 'T: struct and 'T :> IReal<'T> and 'G: struct and 'G :> IGenericSde>
        (scheme: SdeScheme)
        (terms: ArraySdeTerms)
        (field: 'G)
        (parameters: float[])
        (groups: int)
        : ISdeKernel<float[], float[]> =
        let noise = terms.EffectiveNoise
        let space = space<'T, 'G> scheme terms field parameters groups
        let like = (space :> ISdeSpace<float[], float[], float[]>).Allocate null

        match SdeSchemes.tableau scheme noise with
        | ValueSome tableau ->
            StochasticRungeKutta<float[], float[], float[], ArraySdeSpace<'T, 'G>>(tableau, noise, space, like)
        | ValueNone ->
            match scheme with
            | SdeScheme.Milstein(calculus, true) ->
                MilsteinKernel<float[], float[], float[], ArraySdeSpace<'T, 'G>>(calculus, noise, space, like)
            | SdeScheme.Milstein(calculus, false) ->
                MilsteinFreeKernel<float[], float[], float[], ArraySdeSpace<'T, 'G>>(calculus, noise, space, like)
            | SdeScheme.LogOde flow ->
                LogOdeKernel<float[], float[], float[], ArraySdeSpace<'T, 'G>>(flow, noise, space, like)
            | _ -> bad $"{SdeSchemes.name scheme} is no explicit method on arrays."

    /// The drift alone, for its Jacobian.
    let private driftSystem<'G when 'G: struct and 'G :> IGenericSde>
        (terms: ArraySdeTerms)
        (field: 'G)
        (parameters: float[])
        =
        if terms.IsGeneric then
            OdeSystem.OfGeneric(SdeDrift<'G> field, parameters)
        else
            let drift =
                VectorField(fun t y dest ->
                    field.Drift<Real>(Real t, Real.Of y, Real.Of(ReadOnlySpan<float> parameters), Real.Of dest))

            OdeSystem.OfField(drift, terms.Size)

    /// A kernel for one path.
    let single
        (scheme: SdeScheme)
        (terms: ArraySdeTerms)
        (parameters: float[])
        (tolerance: Tolerance<float[]>)
        : ISdeKernel<float[], float[]> =
        terms.Accept
            {
                new ISdeVisitor<ISdeKernel<float[], float[]>> with
                    member _.Visit<'G when 'G: struct and 'G :> IGenericSde>(field: 'G) =
                        if scheme.IsDriftImplicitEuler then
                            let space = space<LaneReal, 'G> scheme terms field parameters 1
                            let linear = (driftSystem<'G> terms field parameters).LinearSystem tolerance
                            let like = Array.zeroCreate terms.Size

                            ArrayDriftImplicit<ArraySdeSpace<LaneReal, 'G>>(space, terms.EffectiveNoise, linear, like)
                        else
                            explicit<LaneReal, 'G> scheme terms field parameters 1
            }
