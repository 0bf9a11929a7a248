namespace Continuum.Properties

open System
open System.Collections.Generic
open Continuum
open TorchSharp

/// The members of Laws about equations that a path drives, signatures of paths and models of series. Call them as members of Laws.
[<AbstractClass>]
type LawsOfPaths internal () =
    inherit LawsOfOperators()

    static let needed (name: string) (value: obj) =
        if isNull value then
            raise (ArgumentNullException name)

    static let readOnly (results: seq<LawResult>) =
        results |> Seq.toArray |> Array.AsReadOnly :> IReadOnlyList<LawResult>

    static let list (values: IEnumerable<Tensor>) = if isNull values then [||] else Seq.toArray values

    /// Rows 0, 1, 2, ... of a batch, without a channel for time.
    static let cde
        (name: string)
        (scheme: ControlScheme)
        (field: Func<Tensor, Tensor>)
        parameters
        (values: Tensor)
        initial
        =
        needed (nameof field) field
        needed (nameof values) values
        needed (nameof initial) initial

        if values.dim () <> 3L || values.shape[1] < 4L then
            let shape = String.Join(", ", values.shape)

            raise (
                ArgumentException(
                    $"Values have shape [{shape}]; they are (series, rows, channels) with four rows or more.",
                    nameof values
                )
            )

        let problem: CdeProblem = {
            Name = name
            Field = CdeField.create (int values.shape[2]) (list parameters) field.Invoke
            Series = SeriesBatch.ofTensors null null values null
            Control = { ControlOptions.causal scheme with TimeChannel = false }
            Initial = initial
        }

        problem

    /// The laws of a stochastic equation dy = f(t, y) dt + g(t, y) dW, or o dW, along paths: the noise is of its class (diagonal, commutative,
    /// additive; at the start); Milstein's method has order 1 against the closed form; the equation and the same process in the other
    /// calculus come together along one path; values between steps are solutions and disturb nothing; an equation of Stratonovich's goes there and
    /// back. Drift and diffusion must be smooth functions of t and y on tensors.
    /// noiseSize: Brownian motions where g is a matrix; 0 for diagonal noise, 1 for scalar. otherDrift: your drift of the same process
    /// in the other calculus; null takes the library's conversion, by automatic differentiation. initial: (paths, n), float64: some hundred
    /// paths, from which orders are measured. exact: the end state from W over the span, (paths, m), where it depends on nothing else of the path; null
    /// compares with much finer steps on the same path. steps: the coarsest number of steps; also 2, 4 and 8 times as many are taken.
    static member OfSde
        (
            name: string,
            calculus: CalculusKind,
            noise: NoiseKind,
            noiseSize: int,
            drift: Func<Tensor, Tensor, Tensor>,
            diffusion: Func<Tensor, Tensor, Tensor>,
            otherDrift: Func<Tensor, Tensor, Tensor>,
            start: float,
            finish: float,
            initial: Tensor,
            exact: Func<Tensor, Tensor>,
            steps: int
        ) : IReadOnlyList<LawResult> =
        needed (nameof drift) drift
        needed (nameof diffusion) diffusion
        needed (nameof initial) initial

        readOnly (
            GivenSde.solving steps exact {
                Name = name
                Calculus = calculus
                Noise = noise
                NoiseSize = noiseSize
                Drift = drift
                Diffusion = diffusion
                OtherDrift = otherDrift
                Parameters = [||]
                Start = start
                End = finish
                Initial = initial
            }
        )

    /// The ways to differentiate solves of a stochastic equation along one path agree, to 1e-8, and with difference quotients, to 1e-5: gradients of
    /// a loss of the states at saveTimes, for the initial state and the parameters (leaves that require a gradient). By Euler-Maruyama in
    /// Ito's sense, by Heun and reversible Heun in Stratonovich's, in this number of steps. Arguments as for OfSde; all of float64.
    static member OfSdeGradients
        (
            name: string,
            calculus: CalculusKind,
            noise: NoiseKind,
            noiseSize: int,
            drift: Func<Tensor, Tensor, Tensor>,
            diffusion: Func<Tensor, Tensor, Tensor>,
            parameters: IEnumerable<Tensor>,
            start: float,
            finish: float,
            initial: Tensor,
            saveTimes: float[],
            steps: int
        ) : IReadOnlyList<LawResult> =
        needed (nameof drift) drift
        needed (nameof diffusion) diffusion
        needed (nameof initial) initial
        needed (nameof saveTimes) saveTimes

        readOnly (
            GivenSde.gradients steps saveTimes {
                Name = name
                Calculus = calculus
                Noise = noise
                NoiseSize = noiseSize
                Drift = drift
                Diffusion = diffusion
                OtherDrift = null
                Parameters = list parameters
                Start = start
                End = finish
                Initial = initial
            }
        )

    /// The laws of a controlled equation dz = F(z) dX along paths through these values: the speed along the path does not matter, nor does a
    /// knot on a straight piece; there and back; order 4 of RK4 along a smooth path; rows after the end change nothing; later rows do
    /// not change earlier states; a series in a batch is solved as alone. F must be a smooth function of z, sample by sample.
    /// field: from z (series, n) to (series, n, channels). values: (series, rows, channels), float64, four rows or more. initial: (series, n).
    static member OfCde
        (name: string, field: Func<Tensor, Tensor>, values: Tensor, initial: Tensor)
        : IReadOnlyList<LawResult> =
        let smooth = cde name ControlScheme.Hermite field null values initial
        use _ = smooth.Series
        let rows = int values.shape[1]
        let knots = Array.init rows float
        let uneven = Array.init rows (fun i -> float i * (1.0 + 0.3 * float i))
        let options = { CdeOptions.create () with CheckTracking = false }
        let exactly = { options with Method = RungeKutta Methods.Dop853; Steps = CdeSteps.PerPiece 8 }

        readOnly [|
            CdeLaws.reparameterisation options 1e-12 smooth.Field values knots uneven initial
            CdeLaws.collinearKnots exactly 1e-8 smooth.Field knots values initial
            CdeLaws.thereAndBack exactly 1e-8 smooth.Field values initial
            CdeLaws.order options 4.0 smooth
            CdeLaws.padding options 3 smooth
            CdeLaws.causality options (rows / 2) 0 smooth
            CdeLaws.batching options 1e-12 smooth
        |]

    /// The ways to differentiate solves of a controlled equation agree, to 1e-10, and with difference quotients, to 1e-6: gradients of a loss
    /// of the states at the rows, for the data, the initial state and the parameters (leaves that require a gradient). Arguments as for OfCde.
    static member OfCdeGradients
        (name: string, field: Func<Tensor, Tensor>, parameters: IEnumerable<Tensor>, values: Tensor, initial: Tensor)
        : IReadOnlyList<LawResult> =
        let problem = cde name ControlScheme.Hermite field parameters values initial
        use _ = problem.Series

        let way differentiation = {
            CdeOptions.create () with
                SaveAt = CdeSave.Observations
                Differentiation = differentiation
        }

        let discrete = way Differentiation.DiscreteDefault

        readOnly [|
            CdeLaws.sameGradient 1e-10 problem discrete (way Differentiation.Recorded)
            CdeLaws.gradientOfDifferences 1e-6 problem discrete
        |]

    /// The laws of truncated signatures on these paths: Chen's identity, shuffles, the straight line, waiting and cutting, translation, ways there and
    /// back, a path by itself. paths: (series, points, channels), float64. signature: from (series, points, channels) to (series, words), all words
    /// of channels by length up to depth, then in alphabetical order, without the empty word; it must take one path (points, channels) too. Null takes the
    /// library's, which is also tried on reversal, logarithms, windows and derivatives.
    static member OfSignature(signature: Func<Tensor, Tensor>, depth: int, paths: Tensor) : IReadOnlyList<LawResult> =
        needed (nameof paths) paths
        let own = if isNull signature then Signature.ofPath depth else signature.Invoke
        let line = Array.init (int paths.shape[2]) (fun i -> 0.5 - 0.4 * float i)

        readOnly [|
            SignatureLaws.chenOf own depth paths
            SignatureLaws.shuffleOf own depth paths
            SignatureLaws.straightLineOf own depth line
            SignatureLaws.reparameterisationOf own paths
            SignatureLaws.translationOf own paths
            SignatureLaws.treeLikeOf own paths
            SignatureLaws.batchOf own paths

            if isNull signature then
                SignatureLaws.reversal depth paths
                SignatureLaws.logarithm depth paths
                SignatureLaws.windows depth 2 paths
                SignatureLaws.gradients depth paths
        |]

    /// The laws of a model that predicts as visits arrive: a prediction does not depend on the batch, nor on the padding of shorter series; one at
    /// a visit does not depend on later visits, and is that from the series cut off there. predict: from times and values (visits, channels;
    /// NaN where missing) of subjects to predictions (visits, outputs) of each, row i at visit i. times and values: subjects to try
    /// it on, of unlike lengths.
    static member OfSeriesModel
        (
            predict: Func<IReadOnlyList<float[]>, IReadOnlyList<float[,]>, IReadOnlyList<float[,]>>,
            times: IReadOnlyList<float[]>,
            values: IReadOnlyList<float[,]>
        ) : IReadOnlyList<LawResult> =
        needed (nameof predict) predict
        needed (nameof times) times
        needed (nameof values) values
        let data = IrregularSeries.Of(Seq.toArray times, Seq.toArray values, null)

        let over (data: IrregularSeries) : float[,][] =
            let paths = data.Subjects |> Array.map _.Path

            let found =
                predict.Invoke(paths |> Array.map _.Times, paths |> Array.map (fun p -> Array2D.copy p.Values))

            if isNull found || found.Count <> data.Count then
                raise (InvalidOperationException $"the model gave no prediction for each of {data.Count} subjects")

            Seq.toArray found

        let last (data: IrregularSeries) =
            let found = over data
            Array2D.init data.Count (found[0].GetLength 1) (fun i j -> found[i][found[i].GetLength 0 - 1, j])

        readOnly [|
            CdeModelLaws.batchingOf last data
            CdeModelLaws.paddingOf last data
            CdeModelLaws.causalityOf over data
            CdeModelLaws.truncationOf over last data
        |]
