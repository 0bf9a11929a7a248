// What every script here loads first. Build the assemblies once:
//
//     dotnet build examples/CSharp -c Release
//
// then run a script from anywhere:
//
//     dotnet fsi examples/FSharp/01_Decay.fsx
#if CONTINUUM_DEBUG // dotnet fsi --define:CONTINUUM_DEBUG takes a debug build
#r "../../artifacts/bin/Examples/debug/TorchSharp.dll"
#r "../../artifacts/bin/Examples/debug/Continuum.Core.dll"
#else
#r "../../artifacts/bin/Examples/release/TorchSharp.dll"
#r "../../artifacts/bin/Examples/release/Continuum.Core.dll"
#endif

/// Ends a script with an error unless the claim holds; prints the line that says it does.
let check (holds: bool) (claim: string) =
    if not holds then
        eprintfn $"The check failed: {claim}"
        exit 1

    printfn $"OK  {claim}"
