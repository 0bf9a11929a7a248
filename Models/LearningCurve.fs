// Losses and validations over a training.
namespace Continuum

open System.Collections.Generic
open TorchSharp

/// The points of a learning curve so far, and the sum of the losses since the last one.
[<Sealed>]
type internal LearningCurve() =
    let points = List<LearningCurvePoint>()
    let mutable sum = 0.0
    let mutable count = 0
    let name = "training.curve"

    /// One more update with this loss.
    member _.Add(loss: float) =
        sum <- sum + loss
        count <- count + 1

    /// A point of the mean loss since the point before and a validation.
    member _.Close(iteration: int, validation: float) =
        points.Add {
            Iteration = iteration
            Loss = (if count > 0 then sum / float count else nan)
            Validation = validation
        }

        sum <- 0.0
        count <- 0

    /// The points.
    member _.Points = points.ToArray()

    /// Everything, for a checkpoint: rows of iteration, loss, validation, and a last one of the losses since.
    member _.Store() : NamedArray =
        use _ = torch.NewDisposeScope()

        let rows = [|
            for p in points do
                yield! [| float p.Iteration; p.Loss; p.Validation |]

            yield! [| float count; sum; 0.0 |]
        |]

        NamedArray.FromTensor(name, Tensors.ofArray rows [| int64 points.Count + 1L; 3L |] torch.float64 torch.CPU)

    /// Takes it back; checkpoints of earlier versions have none.
    member _.Load(checkpoint: Checkpoint) =
        match checkpoint.Tensors |> Array.tryFind (fun a -> a.Name = name) with
        | Some stored ->
            let values = stored.ToDoubles()
            let rows = values.Length / 3
            points.Clear()

            for i in 0 .. rows - 2 do
                points.Add {
                    Iteration = int values[3 * i]
                    Loss = values[3 * i + 1]
                    Validation = values[3 * i + 2]
                }

            count <- int values[3 * (rows - 1)]
            sum <- values[3 * (rows - 1) + 1]
        | None -> ()
