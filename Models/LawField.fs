// A mechanistic law in scaled coordinates as a field over numbers: the twin of Mechanism.rate, which is for batches of tensors.
namespace Continuum

#nowarn "3535" "3536"

open System
open RealOperators

/// dz/dtau of a law with parameters theta (in the layout of Mechanism.shape), for one state.
[<Struct>]
type internal LawField(mechanism: Mechanism, coordinates: Coordinates, signs: float[]) =
    new(mechanism, coordinates: Coordinates) =
        LawField(mechanism, coordinates, Mechanism.signs mechanism coordinates.Dimension)

    interface IGenericField with
        member _.Size = coordinates.Dimension

        member _.ParameterCount =
            Mechanism.shape mechanism coordinates.Dimension |> Array.fold (fun n s -> n * int s) 1

        member _.Evaluate(_, z, theta, dz) =
            let d = coordinates.Dimension
            let positive = coordinates.Positive
            let w = Array.zeroCreate d

            for j in 0 .. d - 1 do
                w[j] <- if positive then exp z[j] else z[j] .+ coordinates.Offset[j]

            for j in 0 .. d - 1 do
                let growth =
                    match mechanism with
                    | LotkaVolterra _ -> signs[j] *. exp theta[j] + signs[d + j] *. exp theta[d + j] * w[1 - j]
                    | Logistic -> signs[j] *. exp theta[j] + signs[d + j] *. exp theta[d + j] * w[j]
                    | Exponential -> theta[j]
                    | Linear ->
                        let mutable sum = theta[j * (d + 1) + d]

                        for k in 0 .. d - 1 do
                            sum <- sum + theta[j * (d + 1) + k] * w[k]

                        sum / w[j]

                dz[j] <-
                    match mechanism with
                    | Linear when not positive ->
                        let mutable sum = theta[j * (d + 1) + d]

                        for k in 0 .. d - 1 do
                            sum <- sum + theta[j * (d + 1) + k] * w[k]

                        sum
                    | _ when positive -> growth
                    | _ -> w[j] * growth
