// A stochastic equation with its calculus and noise as values, as it comes from C#, and the laws that it is tried on.
namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// Drift and diffusion of a process with what they claim to be.
type internal GivenSde = {
    Name: string
    Calculus: CalculusKind
    Noise: NoiseKind
    /// Number of Brownian motions where the diffusion is a matrix.
    NoiseSize: int
    Drift: Func<Tensor, Tensor, Tensor>
    Diffusion: Func<Tensor, Tensor, Tensor>
    /// The drift of the same process in the other calculus; null takes the conversion.
    OtherDrift: Func<Tensor, Tensor, Tensor>
    Parameters: Tensor[]
    Start: float
    End: float
    Initial: Tensor
}

/// What is done with an equation in both calculi.
type internal ISdeVisitor =
    abstract Visit<'N when 'N :> GeneralNoise> : Sde<Ito, 'N> * Sde<Stratonovich, 'N> -> LawResult[]

/// Laws of equations whose types are known at run time only.
[<RequireQualifiedAccess>]
module internal GivenSde =
    /// Halvings of the coarsest step for a reference solution on the same path.
    let private reference = 64

    let private curried (f: Func<Tensor, Tensor, Tensor>) = fun (t: Tensor) (y: Tensor) -> f.Invoke(t, y)

    /// The equation in both calculi, one of them as given and the other with the other drift or by conversion.
    let private both
        (given: GivenSde)
        (ito: (Tensor -> Tensor -> Tensor) -> Sde<Ito, 'N>)
        (stratonovich: (Tensor -> Tensor -> Tensor) -> Sde<Stratonovich, 'N>)
        =
        let drift = curried given.Drift

        match given.Calculus, isNull given.OtherDrift with
        | CalculusKind.Ito, true ->
            let sde = ito drift
            sde, SdeConversion.toStratonovich sde
        | CalculusKind.Ito, false -> ito drift, stratonovich (curried given.OtherDrift)
        | _, true ->
            let sde = stratonovich drift
            SdeConversion.toIto sde, sde
        | _, false -> ito (curried given.OtherDrift), stratonovich drift

    let private visit (visitor: ISdeVisitor) (given: GivenSde) : LawResult[] =
        let g = curried given.Diffusion
        let p = given.Parameters
        let m = given.NoiseSize

        match given.Noise with
        | NoiseKind.Diagonal ->
            both given (fun f -> Sde.diagonal<Ito> p f g) (fun f -> Sde.diagonal<Stratonovich> p f g)
            |> visitor.Visit
        | NoiseKind.Scalar ->
            both given (fun f -> Sde.scalar<Ito> p f g) (fun f -> Sde.scalar<Stratonovich> p f g)
            |> visitor.Visit
        | NoiseKind.Additive ->
            let fixed' (t: Tensor) = g t given.Initial

            both given (fun f -> Sde.additive<Ito> m p f fixed') (fun f -> Sde.additive<Stratonovich> m p f fixed')
            |> visitor.Visit
        | NoiseKind.Commutative ->
            both given (fun f -> Sde.commutative<Ito> m p f g) (fun f -> Sde.commutative<Stratonovich> m p f g)
            |> visitor.Visit
        | _ ->
            both given (fun f -> Sde.general<Ito> m p f g) (fun f -> Sde.general<Stratonovich> m p f g)
            |> visitor.Visit

    let private problem (given: GivenSde) (sde: Sde<'C, 'N>) (exact: TensorBrownian -> Tensor) : SdeProblem<'C, 'N> = {
        Name = given.Name
        Sde = sde
        Start = given.Start
        End = given.End
        Initial = given.Initial
        Level = LevyLevel.Increments
        Exact = exact
    }

    /// The end state by this many equal steps along a path.
    let private fine (given: GivenSde) (method: SdeMethod<'C, 'N>) (sde: Sde<'C, 'N>) steps (path: TensorBrownian) =
        let options = {
            TensorSdeOptions.fixedSteps (abs (given.End - given.Start) / float steps) with
                Differentiation = Differentiation.None
        }

        (TensorSde.solve options method sde path given.Start given.End given.Initial).EnsureSuccess().Final

    /// The class of the noise, where it can be told apart.
    let private noise (given: GivenSde) : LawResult[] =
        let unknown _ = raise (NotSupportedException())
        let g = curried given.Diffusion

        match given.Noise with
        | NoiseKind.Diagonal ->
            let sde = Sde.diagonal<Ito> given.Parameters (curried given.Drift) g
            [| SdeLaws.noiseClass given.Noise (problem given sde unknown) |]
        | NoiseKind.Additive
        | NoiseKind.Commutative ->
            let sde = Sde.general<Ito> given.NoiseSize given.Parameters (curried given.Drift) g
            [| SdeLaws.noiseClass given.Noise (problem given sde unknown) |]
        | _ -> [||]

    /// The laws of solving: the class of the noise, order against the closed form (or fine steps on the same path), agreement of the calculi,
    /// values between steps, and there and back for an equation of Stratonovich's. exact: the end state from W over the span; null for none.
    let solving (steps: int) (exact: Func<Tensor, Tensor>) (given: GivenSde) : LawResult[] =
        let counts = [| steps; 2 * steps; 4 * steps; 8 * steps |]

        let exactBy (method: SdeMethod<'C, 'N>) (sde: Sde<'C, 'N>) (path: TensorBrownian) =
            if isNull exact then
                fine given method sde (reference * steps) path
            else
                exact.Invoke (path.Step(path.Start, path.End)).W

        let along = {
            new ISdeVisitor with
                member _.Visit(ito, stratonovich) =
                    let asIto = problem given ito (exactBy SdeMethods.milstein ito)

                    let asStratonovich =
                        problem given stratonovich (exactBy SdeMethods.milsteinStratonovich stratonovich)

                    if given.Calculus = CalculusKind.Ito then
                        [|
                            SdeLaws.strongConvergence SdeMethods.milstein asIto counts
                            SdeLaws.agreement SdeMethods.milstein asIto SdeMethods.heun asStratonovich counts
                            SdeLaws.outputIsASolution SdeMethods.eulerMaruyama asIto steps
                            SdeLaws.savesDisturbNothing SdeMethods.eulerMaruyama asIto 1e-2
                        |]
                    else
                        [|
                            SdeLaws.strongConvergence SdeMethods.milsteinStratonovich asStratonovich counts
                            SdeLaws.agreement SdeMethods.heun asStratonovich SdeMethods.milstein asIto counts
                            SdeLaws.roundTrip SdeMethods.heun asStratonovich counts
                            SdeLaws.outputIsASolution SdeMethods.heun asStratonovich steps
                            SdeLaws.savesDisturbNothing SdeMethods.heun asStratonovich 1e-2
                        |]
        }

        Array.append (noise given) (visit along given)

    let private gradientsBy
        (steps: int)
        (saves: float[])
        (given: GivenSde)
        (method: SdeMethod<'C, 'N>)
        (sde: Sde<'C, 'N>)
        =
        use _ = torch.NewDisposeScope()
        let options = TensorSdeOptions.fixedSteps (abs (given.End - given.Start) / float steps)
        let unused _ = raise (NotSupportedException())
        let level = method.Level given.Noise
        use path = SdeProblems.path (problem given sde unused) steps level 20261UL

        let case: SdeGradientProblem<'C, 'N> = {
            Name = given.Name
            Sde = sde
            Path = path
            Start = given.Start
            End = given.End
            Initial = given.Initial
            SaveTimes = saves
        }

        [|
            yield! SdeGradientLaws.allAgree options method 1e-8 case
            SdeGradientLaws.agreesWithDifferences options method 1e-5 case Differentiation.DiscreteDefault
        |]

    /// The laws of gradients along one path, by the simplest method of the equation's calculus and by reversible Heun.
    let gradients (steps: int) (saves: float[]) (given: GivenSde) : LawResult[] =
        let along = {
            new ISdeVisitor with
                member _.Visit(ito, stratonovich) =
                    if given.Calculus = CalculusKind.Ito then
                        gradientsBy steps saves given SdeMethods.eulerMaruyama ito
                    else
                        Array.append
                            (gradientsBy steps saves given SdeMethods.heun stratonovich)
                            (gradientsBy steps saves given SdeMethods.reversibleHeun stratonovich)
        }

        visit along given
