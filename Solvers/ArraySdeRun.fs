// From a method, an equation on arrays and a path to a run of the loop: checks of the input, paths without allocation.
namespace Continuum

#nowarn "3535" "3536"

open System

/// A Brownian path whose steps are written into the same arrays again and again, and which knows the cells of the steps that a loop
/// announced. For one thread, and for kernels that look at a step until the next one alone.
[<Sealed>]
type internal ReusedPath(path: BrownianPath) =
    let spec = path.Spec
    let m = spec.Dimension
    let batch = HostBrownianBatch(spec, PathNumbers.From(path.Number, 1))
    let row has = if has then Array.zeroCreate<float> m else null
    let w = row true
    let h = row (spec.Level <> LevyLevel.Increments)
    let k = row (spec.Level = LevyLevel.SpaceTimeTime)
    let a: float[] = if spec.Level = LevyLevel.Area then Array.zeroCreate (m * m) else null
    let step: BrownianStep<float[]> = { W = w; H = h; K = k; A = a }
    let mutable announced: float[] = [||]
    let mutable cells: int[] = [||]
    let mutable next = 0

    /// The cell from one announced time to the one after it, or -1.
    let cellOf (from: float) (until: float) =
        let first = batch.Grid.Boundary from

        if isNull a && first >= 0 && batch.Grid.Boundary until = first + 1 then
            first
        else
            -1

    let take (source: ReadOnlySpan<float>) (index: int) (sign: float) (dest: float[]) =
        if not (isNull dest) then
            for i in 0 .. m - 1 do
                dest[i] <- sign * source[index * m + i]

    let query (s: float) (t: float) =
        let piece = batch.Forward(s, t)
        let source = ReadOnlySpan<float> piece
        take source 0 (HostBrownianBatch.Sign(0, s, t)) w
        take source 1 (HostBrownianBatch.Sign(1, s, t)) h
        take source 2 (HostBrownianBatch.Sign(2, s, t)) k

        if not (isNull a) then
            HostBrownianBatch.Area(m, 1, 2, HostBrownianBatch.Sign(0, s, t), piece, Span<float> a)

    interface IBrownian<float[]> with
        member _.Start = spec.Start
        member _.End = spec.End
        member _.Dimension = m
        member _.Level = spec.Level

        member _.Step(s, t) =
            if next < cells.Length && announced[next] = s && announced[next + 1] = t then
                let cell = cells[next]
                next <- next + 1

                if cell >= 0 then
                    let source = batch.Cell cell
                    take source 0 1.0 w
                    take source 1 1.0 h
                    take source 2 1.0 k
                else
                    query s t
            else
                query s t

            step

        member _.Snap(s, t) = path.Snap(s, t)

        member _.Prepare times =
            announced <- times
            next <- 0
            cells <- Array.init (Math.Max(0, times.Length - 1)) (fun i -> cellOf times[i] times[i + 1])

/// Runs of the loop.
[<RequireQualifiedAccess>]
module internal ArraySdeRun =
    let private bad (text: string) = raise (ArgumentException text)

    /// ArgumentException where a diffusion that is said to be additive looks at the state: its value at a state of NaN must be that at y0.
    let private checkAdditive (terms: ArraySdeTerms) (parameters: float[]) (t0: float) (y0: float[]) =
        let evaluate (y: float[]) =
            terms.Accept
                {
                    new ISdeVisitor<float[]> with
                        member _.Visit<'G when 'G: struct and 'G :> IGenericSde>(field: 'G) =
                            let values = Array.zeroCreate terms.DiffusionSize

                            field.Diffusion<Real>(
                                Real t0,
                                Real.Of(ReadOnlySpan<float> y),
                                Real.Of(ReadOnlySpan<float> parameters),
                                Real.Of(Span<float> values)
                            )

                            values
                }

        let here = evaluate y0
        let elsewhere = evaluate (Array.create terms.Size nan)

        for i in 0 .. here.Length - 1 do
            if Double.IsFinite here[i] && here[i] <> elsewhere[i] then
                bad
                    $"Additive noise must not depend on the state, but entry ({i / terms.NoiseSize}, {i % terms.NoiseSize}) of the diffusion does; take general noise, or diagonal where it is one number for each component."

    /// ArgumentException, with both numbers, where a state has another size than the equation.
    let checkState (terms: ArraySdeTerms) (what: string) (y0: float[]) =
        let length = if isNull y0 then 0 else y0.Length

        if length <> terms.Size then
            bad $"{what} has {length} components; the equation has {terms.Size}."

    let private checkTolerance (terms: ArraySdeTerms) (tolerance: Tolerance<float[]>) =
        let check name (per: float[] voption) =
            match per with
            | ValueSome per when isNull per || per.Length <> terms.Size ->
                let length = if isNull per then 0 else per.Length

                bad
                    $"{name} per component has {length} entries and the equation {terms.Size} components; give one for each component."
            | _ -> ()

        check "rtol" tolerance.RtolPer
        check "atol" tolerance.AtolPer

    /// ArgumentException, or its kin, where method, equation, path and span do not fit each other.
    let checkPath
        (scheme: SdeScheme)
        (terms: ArraySdeTerms)
        (dimension: int)
        (level: LevyLevel)
        (first: float)
        (last: float)
        (t0: float)
        (t1: float)
        =
        let noise = terms.Noise.ToString().ToLowerInvariant()

        if dimension <> terms.NoiseSize then
            bad
                $"The equation is driven by {terms.NoiseSize} Brownian motions ({noise} noise, {terms.Size} components), and the path has {dimension}."

        SdeSchemes.checkPath scheme terms.Noise terms.EffectiveNoise level first last t0 t1

    /// What is the same for all paths of an ensemble.
    let check (scheme: SdeScheme) (terms: ArraySdeTerms) (options: ArraySdeOptions) (t0: float) (t1: float) =
        ArraySdeKernels.check scheme terms
        SolveOptions.check (ArraySdeOptions.toSolve options) t0 t1
        checkTolerance terms options.Tolerance

    /// What depends on the state and the parameters.
    let checkStart (terms: ArraySdeTerms) (parameters: float[]) (t0: float) (y0: float[]) =
        checkState terms "The initial state" y0

        if terms.Noise = NoiseKind.Additive then
            checkAdditive terms parameters t0 y0

    /// One run along a path, after the checks.
    let run
        (scheme: SdeScheme)
        (terms: ArraySdeTerms)
        (parameters: float[])
        (options: ArraySdeOptions)
        (path: IBrownian<float[]>)
        (t0: float)
        (t1: float)
        (y0: float[])
        : Solution<float[]> =
        let path =
            match path with
            | :? BrownianPath as own -> ReusedPath own :> IBrownian<float[]>
            | other -> other

        let make () = ArraySdeKernels.single scheme terms parameters options.Tolerance
        let space = RealSpace options.Tolerance
        let nobody = Unchecked.defaultof<ISdeObserver<float[]>>
        let options = ArraySdeOptions.toSolve options

        SdeIntegration<float[], float[], RealSpace>(make (), make, space, path, nobody, options, t0, t1).Run y0
