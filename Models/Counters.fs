// The counters of a training run and how a checkpoint holds them.
namespace Continuum

/// The numbers that training carries from iteration to iteration, as they are stored.
type internal Counters = {
    mutable Phase: int
    /// Iterations done in the phase.
    mutable Iteration: int
    mutable Evaluations: int64
    /// Smallest loss of the phase's criterion.
    mutable Best: float
    /// Validation checks since then.
    mutable Stale: int
    /// Times the learning rate was halved in the phase.
    mutable Halvings: int
    mutable Seconds: float
    mutable Loss: float
    mutable Validation: float
}

module internal Counters =
    let zero () = {
        Phase = 0
        Iteration = 0
        Evaluations = 0L
        Best = infinity
        Stale = 0
        Halvings = 0
        Seconds = 0.0
        Loss = nan
        Validation = nan
    }

    let store (c: Counters) =
        let numbers = [|
            float c.Phase
            float c.Iteration
            float c.Evaluations
            c.Best
            float c.Stale
            float c.Halvings
            c.Seconds
            c.Loss
            c.Validation
        |]

        use tensor = Tensors.vector numbers
        NamedArray.FromTensor("training.counters", tensor)

    let load (path: string) (stored: NamedArray) : Counters =
        match stored.ToDoubles() with
        | [| phase; iteration; evaluations; best; stale; halvings; seconds; loss; validation |] -> {
            Phase = int phase
            Iteration = int iteration
            Evaluations = int64 evaluations
            Best = best
            Stale = int stale
            Halvings = int halvings
            Seconds = seconds
            Loss = loss
            Validation = validation
          }
        | _ -> FileFormat.invalid path "the state of the training is damaged" "start again without resuming"
