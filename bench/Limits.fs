/// What single calls of libtorch cost here: the context for the rest.
module Continuum.Bench.Limits

open Continuum.Bench.Measure
open TorchSharp

let run (settings: Settings) =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    let field = torch.randn ([| 8L; 32L; 64L; 64L |])
    let square = torch.randn ([| 512L; 512L |])
    let small = torch.randn ([| 128L; 16L |])

    let timed name (operation: unit -> torch.Tensor) =
        let seconds =
            sample settings.Runs (fun () ->
                use _ = operation ()
                ())

        print settings (line "limits" name settings.Runs seconds)

    timed "rfft2 (8,32,64,64)" (fun () -> torch.fft.rfft2 field)
    timed "512x512 product" (fun () -> square.mm square)
    timed "add 128x16" (fun () -> small.add small)
