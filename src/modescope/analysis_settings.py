"""The settings of analyses: types, ranges, defaults, and what each means."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from modescope.settings import Count, Epoch, Section, Seed, Unit, listed, words

MethodName = Literal[
    "late_snapshots",
    "snapshot_ensemble",
    "random",
    "dropout",
    "diagonal_gaussian",
    "low_rank_gaussian",
    "low_rank_gaussian_unit",
    "random_low_rank",
    "swag",
    "weight_average",
    "mc_dropout",
]


CorruptionName = Literal[
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression", "gaussian_blur",
    "saturate", "spatter", "speckle_noise",
]  # fmt: skip


def _each_once(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse nothing at all, and what is named twice."""
    if not value or len(set(value)) < len(value):
        raise ValueError("at least one is needed, each named once")
    return value


Corruptions = Annotated[tuple[CorruptionName, ...], BeforeValidator(words), AfterValidator(_each_once)]
Intensity = Annotated[int, Field(ge=1, le=5)]
Intensities = Annotated[tuple[Intensity, ...], BeforeValidator(listed), AfterValidator(_each_once)]


class SimilarityMembersSettings(Section):
    """Settings of `similarity_members`."""

    confidence: Unit = Field(0.95, description="of the intervals")
    resamples: Count = Field(1000, description="bootstrap resamples of the test examples")
    seed: Seed = 0


class SimilaritySnapshotsSettings(SimilarityMembersSettings):
    """Settings of `similarity_snapshots`."""

    late_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        0.25, description="the last part of training whose snapshots count as late in the summary"
    )


class TrajectoryMapSettings(Section):
    """Settings of `trajectory_map`."""

    perplexity: float = Field(30.0, gt=0, description="scikit-learn's and the paper's default; less for few points")
    seed: Seed = 0
    most_states: Count = Field(600, description="states whose weights are compared, all with all; fewer epochs if more")


class EnsembleSizeSettings(Section):
    """Settings of `ensemble_size`."""

    subsets: Count = Field(2000, description="random subsets of a size, where there are more than this")
    resamples: Count = Field(1000, description="bootstrap resamples of the test examples")
    bins: Count = Field(15, description="of the expected calibration error")
    worth: Annotated[float, Field(ge=0)] = Field(
        0.001, description="the least gain in accuracy for which another member is worth its cost"
    )
    confidence: Unit = 0.95
    seed: Seed = 0


class HardnessSettings(Section):
    """Settings of `hardness`."""

    fraction: Unit = Field(0.05, description="the part of the test examples that is called hardest")
    resamples: Count = Field(1000, description="bootstrap resamples of the test examples")
    confidence: Unit = 0.95
    seed: Seed = 0


class SubspacesSettings(Section):
    """Settings of `subspaces`, and of how networks are drawn for every other analysis that draws any."""

    preset: Literal["faithful", "paper"] = Field(
        "faithful", description="paper: the paper's constants; faithful: relative to each network's own scale"
    )
    methods: Literal["all"] | Annotated[tuple[MethodName, ...], BeforeValidator(words)] = "all"
    samples: Count = Field(10, description="networks drawn around each solution (the paper's figure 8: 10)")
    window: Count = Field(
        10,
        description="the last snapshots that Gaussians are fitted to (the paper's notebook: 10), no older than half of "
        "training",
    )
    accept_examples: Count = Field(500, description="training examples on which random samples are accepted")
    statistics_examples: Count | Literal["auto"] = Field(
        "auto", description="training examples for batch-norm statistics; auto: until more change next to nothing"
    )
    subsets: Count = Field(45, description="random subsets of members of a size, where there are more than this")
    resamples: Count = Field(400, description="bootstrap resamples of the test examples")
    bins: Count = Field(15, description="of the expected calibration error")
    confidence: Unit = 0.95
    seed: Seed = 0


class SubspaceMapSettings(Section):
    """Settings of `subspace_map`."""

    perplexity: float = Field(30.0, gt=0, description="scikit-learn's and the paper's default; less for few points")
    seed: Seed = 0
    members: Annotated[int, Field(ge=2)] = Field(3, description="the first members; the paper maps three")
    samples: Count = Field(5, description="of each method around each member")


class DiversityPlaneSettings(Section):
    """Settings of `diversity_plane`."""

    reference: Annotated[int, Field(ge=0)] = Field(0, description="the member that all are compared with")
    samples: Count = Field(50, description="of each method (the paper's notebook: 50)")
    resamples: Count = Field(400, description="bootstrap resamples of the test examples")
    confidence: Unit = 0.95


class PlaneSettings(Section):
    """Settings of a plane through solutions."""

    members: Annotated[tuple[Epoch, ...], BeforeValidator(listed)]
    points: Annotated[int, Field(ge=2)] | Literal["auto"] = Field(
        "auto", description="along each side; auto: 51 on a GPU, 21 on a CPU"
    )
    examples: Count | Literal["all", "auto"] = Field(
        "auto", description="test examples at each point; auto: all on a GPU, 1,000 on a CPU"
    )
    margin: Annotated[float, Field(ge=0)] = Field(0.15, description="beyond what the plane must show, of its width")


class RadialPlaneSettings(PlaneSettings):
    """Settings of `radial_plane`."""

    members: Annotated[tuple[Epoch, Epoch], BeforeValidator(listed)] = Field((0, 1), description="the two solutions")
    samples: Count = Field(20, description="of the diagonal Gaussian around the first, projected")


class SolutionPlaneSettings(PlaneSettings):
    """Settings of `solution_plane`."""

    members: Annotated[tuple[Epoch, Epoch, Epoch], BeforeValidator(listed)] = Field(
        (0, 1, 2), description="the three solutions"
    )


class ConnectorsSettings(Section):
    """Settings of `connectors`."""

    members: Annotated[tuple[Epoch, Epoch], BeforeValidator(listed)] = Field((0, 1), description="the two ends")
    bends: Annotated[int, Field(ge=3)] = Field(3, description="points that make a path, both ends counted")
    steps: int = Field(1000, ge=0, description="training steps of each path, with the recipe's optimiser and batches")
    points: Annotated[int, Field(ge=3)] = Field(21, description="places along the path")
    resamples: Count = Field(400, description="bootstrap resamples of the test examples")
    confidence: Unit = 0.95
    seed: Seed = 0


class ShiftSettings(Section):
    """Settings of `shift`."""

    source: Annotated[str, Field(pattern="^(synthetic|npy:.+)$")] = Field(
        "synthetic", description="synthetic: made here; npy:DIR: the official files of CIFAR-10-C"
    )
    corruptions: Literal["all"] | Corruptions = Field("all", description="names of corruptions")
    intensities: Intensities = (1, 2, 3, 4, 5)
    ood: str = Field(
        "shuffled", description="out-of-distribution data: shuffled (test images in pieces), or another data source"
    )
    methods: Literal["all"] | Annotated[tuple[MethodName, ...], BeforeValidator(words)] = Field(
        ("late_snapshots", "random", "diagonal_gaussian", "low_rank_gaussian", "swag", "weight_average"),
        description="beside independent members",
    )
    members: Count = Field(2, description="the first members, around each of which the methods draw")
    samples: Count = Field(5, description="of each method (the paper: 5)")
    examples: Count | Literal["all", "auto"] = Field(
        "auto", description="test examples; auto: all on a GPU, 500 on a CPU"
    )
    subsets: Count = Field(10, description="random subsets of members of a size, where there are more than this")
    resamples: Count = Field(200, description="bootstrap resamples of the test examples")
    bins: Count = Field(15, description="of the expected calibration error")
    confidence: Unit = 0.95
    seed: Seed = 0


class AnalysesSettings(Section):
    """Settings of the analyses that have any."""

    similarity_snapshots: SimilaritySnapshotsSettings = SimilaritySnapshotsSettings()
    similarity_members: SimilarityMembersSettings = SimilarityMembersSettings()
    trajectory_map: TrajectoryMapSettings = TrajectoryMapSettings()
    ensemble_size: EnsembleSizeSettings = EnsembleSizeSettings()
    hardness: HardnessSettings = HardnessSettings()
    subspaces: SubspacesSettings = SubspacesSettings()
    subspace_map: SubspaceMapSettings = SubspaceMapSettings()
    diversity_plane: DiversityPlaneSettings = DiversityPlaneSettings()
    radial_plane: RadialPlaneSettings = RadialPlaneSettings()
    solution_plane: SolutionPlaneSettings = SolutionPlaneSettings()
    connectors: ConnectorsSettings = ConnectorsSettings()
    shift: ShiftSettings = ShiftSettings()
