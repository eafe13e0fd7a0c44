"""What each tracker holds of a run, read back with the tracker's own library."""

import json
import struct

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate", "seconds")


class WandbHeld:
    """The records of all offline files: W&B's log of protocol buffers, in the frames of LevelDB."""

    def __init__(self, run):
        from wandb.proto import wandb_internal_pb2 as pb

        self.runs, self.rows, self.artefacts, self.summary = {}, [], [], {}
        for file in sorted((run.tracking / "wandb").glob("offline-run-*/*.wandb")):
            identity = None
            for record in map(pb.Record.FromString, frames(file.read_bytes())):
                kind = record.WhichOneof("record_type")
                if kind == "run":
                    identity = record.run.run_id
                    config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
                    self.runs[identity] = (record.run.display_name, record.run.run_group, config)
                elif kind == "history":
                    row = {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in
                           record.history.item}  # fmt: skip
                    self.rows.append((identity, row))
                elif kind == "artifact":
                    self.artefacts.append({entry.path for entry in record.artifact.manifest.contents})
                elif kind == "summary":
                    self.summary |= {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in
                                     record.summary.update}  # fmt: skip
        self.folder = run.tracking / "wandb"

    def members(self):
        return {config["member"]: identity for identity, (_, _, config) in self.runs.items() if "member" in config}

    def metrics(self):
        of = {identity: member for member, identity in self.members().items()}
        return [
            ((of[identity], name, row["epoch"]), value)
            for identity, row in self.rows if identity in of and "epoch" in row
            for name, value in row.items() if name in METRICS
        ]  # fmt: skip

    def groups(self):
        return {group for _, group, _ in self.runs.values()}

    def config(self, member):
        return self.runs[self.members()[member]][2]["training"]["epochs"]

    def confusion(self, member, classes):
        rows = [row for identity, row in self.rows if identity == self.members()[member]]
        (path,) = [row["confusion_table.path"] for row in rows if "confusion_table.path" in row]
        (table,) = self.folder.glob(f"offline-run-*-{self.members()[member]}*/files/{path}")
        return json.loads(table.read_text())["data"]

    def artefact_names(self):
        return set().union(*self.artefacts)

    def ensemble_number(self, name):
        return self.summary[name]

    def count(self):
        return len(self.rows), len(self.artefacts), sorted(self.runs)


def frames(content):
    # the records of a LevelDB log behind W&B's header of seven bytes
    place, parts = 7, []
    while place < len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        if kind == 0:
            return
        parts.append(content[place + 7 : place + 7 + length])
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield b"".join(parts)
            parts = []


class TensorBoardHeld:
    def __init__(self, run):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        self.root = run.tracking / "tensorboard"
        self.read = {
            folder.name: EventAccumulator(str(folder), {"scalars": 0, "images": 0, "tensors": 0}).Reload()
            for folder in self.root.iterdir()
        }

    def members(self):
        return {int(name.split("-")[1]): name for name in self.read if name.startswith("member-")}

    def metrics(self):
        return [
            ((member, tag, event.step), event.value)
            for member, name in self.members().items()
            for tag in self.read[name].Tags()["scalars"]
            for event in self.read[name].Scalars(tag)
        ]

    def groups(self):
        return {str(self.root)}

    def config(self, member):
        (event,) = self.read[self.members()[member]].Tensors("recipe/text_summary")
        text = event.tensor_proto.string_val[0].decode()
        return int(text.split("epochs = ")[1].split()[0])

    def confusion(self, member, classes):
        (event,) = self.read[self.members()[member]].Images("confusion")
        assert event.step == 3
        assert event.width > 300
        assert event.height > 300
        return None  # a picture

    def artefact_names(self):
        tags = self.read["ensemble"].Tags()
        return {f"{tag}.png" for tag in tags["images"]} | {
            "report.html" for tag in tags["tensors"] if tag == "report/text_summary"
        }

    def ensemble_number(self, name):
        (event,) = self.read["ensemble"].Scalars(name)
        return event.value

    def count(self):
        tags = {name: read.Tags() for name, read in self.read.items()}
        images = sum(len(read.Images(tag)) for name, read in self.read.items() for tag in tags[name]["images"])
        scalars = sum(len(read.Scalars(tag)) for name, read in self.read.items() for tag in tags[name]["scalars"])
        return images, scalars, len(list(self.root.rglob("events.*")))


class MlflowHeld:
    def __init__(self, run):
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=f"sqlite:///{(run.tracking / 'mlflow.db').absolute()}")
        self.experiment = self.client.get_experiment_by_name("modescope").experiment_id
        self.runs = self.client.search_runs([self.experiment])
        self.parent = next((found for found in self.runs if "modescope.member" not in found.data.tags), None)

    def members(self):
        return {
            int(found.data.tags["modescope.member"]): found
            for found in self.runs if "modescope.member" in found.data.tags
        }  # fmt: skip

    def metrics(self):
        return [
            ((member, name, metric.step), metric.value)
            for member, found in self.members().items()
            for name in found.data.metrics
            for metric in self.client.get_metric_history(found.info.run_id, name)
        ]

    def groups(self):
        return {found.data.tags["mlflow.parentRunId"] for found in self.members().values()} | {self.parent.info.run_id}

    def config(self, member):
        return int(self.members()[member].data.params["training.epochs"])

    def confusion(self, member, classes):
        run_id = self.members()[member].info.run_id
        assert {file.path for file in self.client.list_artifacts(run_id)} == {"confusion.csv", "confusion.png"}
        with open(self.client.download_artifacts(run_id, "confusion.csv")) as file:
            next(file)
            return [(true, said, int(count)) for true, said, count in (line.rstrip().split(",") for line in file)]

    def artefact_names(self):
        run_id = self.parent.info.run_id
        return {file.path for folder in (None, "figures") for file in self.client.list_artifacts(run_id, folder)}

    def ensemble_number(self, name):
        return self.parent.data.metrics[name]

    def count(self):
        histories = [
            len(self.client.get_metric_history(found.info.run_id, name))
            for found in self.runs for name in found.data.metrics
        ]  # fmt: skip
        return sum(histories), sorted(found.info.run_id for found in self.runs), self.artefact_names()


class TrackioHeld:
    """Read with trackio's own storage."""

    def __init__(self, run):
        from trackio.sqlite_storage import SQLiteStorage

        self.storage = SQLiteStorage
        self.records = SQLiteStorage.get_run_records("modescope")
        self.rows = {
            record["id"]: SQLiteStorage.get_logs("modescope", record["name"], run_id=record["id"])
            for record in self.records
        }
        self.configs = {
            record["id"]: SQLiteStorage.get_run_config("modescope", record["name"], run_id=record["id"])
            for record in self.records
        }

    def members(self):
        return {config["member"]: identity for identity, config in self.configs.items() if "member" in config}

    def metrics(self):
        return [
            ((member, name, row["step"]), value)
            for member, identity in self.members().items()
            for row in self.rows[identity]
            for name, value in row.items() if name in METRICS
        ]  # fmt: skip

    def groups(self):
        return {config["_Group"] for config in self.configs.values()}

    def config(self, member):
        return self.configs[self.members()[member]]["training"]["epochs"]

    def confusion(self, member, classes):
        (told,) = [row for row in self.rows[self.members()[member]] if "confusion" in row]
        return [tuple(row.values()) for row in told["confusion"]["_value"]]

    def artefact_names(self):
        (artefact,) = self.storage.list_artifacts("modescope")
        found = self.storage.get_artifact_manifest("modescope", artefact["name"], "latest")
        return {entry["path"] for entry in found["manifest"]}

    def ensemble_number(self, name):
        (value,) = [row[name] for rows in self.rows.values() for row in rows if name in row]
        return value

    def count(self):
        return {identity: len(rows) for identity, rows in self.rows.items()}, len(
            self.storage.list_artifacts("modescope")
        )


HELD = {"wandb": WandbHeld, "tensorboard": TensorBoardHeld, "mlflow": MlflowHeld, "trackio": TrackioHeld}
