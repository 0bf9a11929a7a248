// dotnet run --project examples/CSharp -- 1        (or another number; or all)
using System;
using Examples;

Action[] examples =
[
    Decay.Run,
    LorenzEvent.Run,
    Spiral.Run,
    LynxHare.Run,
    SolarSystem.Run,
    Kinetics.Run,
    PredatorPrey.Run,
    Epidemics.Run,
    NoisyPaths.Run,
    Markets.Run,
    Patients.Run,
    Operators.Run,
];

switch (args)
{
    case ["all"]:
        Array.ForEach(examples, example => example());
        return 0;
    case [string text] when int.TryParse(text, out int number) && number >= 1 && number <= examples.Length:
        examples[number - 1]();
        return 0;
    default:
        Console.Error.WriteLine($"usage: dotnet run --project examples/CSharp -- 1..{examples.Length} | all");
        return 1;
}
