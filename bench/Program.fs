module Continuum.Bench.Program

open System
open Continuum
open Continuum.Bench.Measure
open TorchSharp

let private workloads: (string * (Settings -> unit))[] = [|
    "lorenz", Lorenz.run
    "stiff_vdp", Kinetics.run "vdp"
    "stiff_rober", Kinetics.run "rober"
    "stiff_hires", Kinetics.run "hires"
    "banded", Banded.run
    "ensemble", Ensemble.run
    "stiff_tensor", StiffTensor.run
    "neural_ode_forward", NeuralOde.forward
    "neural_ode_train",
    fun settings ->
        NeuralOde.train settings
        Memory.run settings
    "kepler", Kepler.run
    "sensitivity", Sensitivities.run
    "brownian", Brownian.run
    "sde_ensemble", SdeEnsemble.run
    "neural_sde_forward", NeuralSde.forward
    "neural_sde_train",
    fun settings ->
        NeuralSdeTrain.train settings
        NeuralSdeTrain.memory settings
    "neural_cde_coeffs", NeuralCde.coefficients
    "neural_cde_forward", NeuralCde.forward
    "neural_cde_train", NeuralCde.train
    "log_signature", Signature.logSignature
    "log_ode", Signature.logOde
    "fno2d_forward", FnoWorkload.forward
    "fno2d_train", FnoWorkload.train
    "limits", Limits.run
    "work_precision_nonstiff", WorkPrecision.nonstiff
    "work_precision_stiff", WorkPrecision.stiff
|]

// Long trainings on data, by name only.
let private studies: (string * (Settings -> unit))[] = [|
    "study_patients", StudyPatients.run
    "study_markets", StudyMarkets.run
    "study_paths", StudyPaths.run
    "study_burgers", StudyOperators.burgers
    "study_darcy29", StudyOperators.darcy29
    "study_darcy29_points", StudyOperators.darcy29Points
    "study_darcy61", StudyOperators.darcy61
    "study_darcy61_points", StudyOperators.darcy61Points
    "study_darcy_floor", StudyDarcyFloor.run
|]

let private known = Array.append workloads studies

let private usage () =
    let names = known |> Array.map fst |> String.concat " | "
    eprintfn $"usage: dotnet run -c Release --project bench -- (all | {names}) ... [--json] [--runs 7] [--threads 1]"
    1

type private Request = { Settings: Settings; Names: string list; Bad: bool }

let rec private read request (arguments: string list) =
    match arguments with
    | [] -> request
    | "--json" :: rest -> read { request with Settings = { request.Settings with Json = true } } rest
    | ("--runs" | "--threads" as option) :: value :: rest ->
        match Int32.TryParse value with
        | true, n when n > 0 ->
            let settings =
                if option = "--runs" then
                    { request.Settings with Runs = n }
                else
                    { request.Settings with Threads = n }

            read { request with Settings = settings } rest
        | _ -> { request with Bad = true }
    | "all" :: rest ->
        let names = workloads |> Array.map fst |> Array.toList
        read { request with Names = request.Names @ names } rest
    | name :: rest when known |> Array.exists (fun (its, _) -> its = name) ->
        read { request with Names = request.Names @ [ name ] } rest
    | _ -> { request with Bad = true }

[<EntryPoint>]
let main arguments =
    NativeLibraries.ensure ()

    match arguments with
    | [| "--memory"; way; steps |] ->
        torch.set_num_threads 1
        Memory.child way (int steps)
        0
    | [| "--memory-sde"; way; steps |] ->
        torch.set_num_threads 1
        NeuralSdeTrain.child way (int steps)
        0
    | _ ->
        let start = { Settings = { Json = false; Runs = 7; Threads = 1 }; Names = []; Bad = false }

        let request = read start (List.ofArray arguments)

        if request.Bad || request.Names.IsEmpty then
            usage ()
        else
            torch.set_num_threads request.Settings.Threads

            for name in request.Names do
                let _, run = known |> Array.find (fun (its, _) -> its = name)
                run request.Settings

            0
