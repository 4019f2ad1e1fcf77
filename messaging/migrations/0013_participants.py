from django.db import migrations

BATCH = 1_000


def complete_groups(apps, schema_editor):
    """Give each group one owner and its number of members; dissolve a group without members.

    The owner of longest standing stays, else the member of longest standing becomes the owner.
    Further owners become administrators.

    Safe to repeat.
    """
    alias = schema_editor.connection.alias
    groups = apps.get_model('messaging', 'ChatGroup').objects.using(alias)
    members = apps.get_model('messaging', 'ChatGroupMember').objects.using(alias)
    last = 0
    while batch := list(groups.filter(pk__gt=last).order_by('pk').values_list('pk', flat=True)[:BATCH]):
        for group_id in batch:
            own = members.filter(group_id=group_id)
            by_time = own.order_by('joined_at', 'pk')
            owner = by_time.filter(role='owner').first() or by_time.first()
            if owner is None:
                groups.filter(pk=group_id).update(state='DISSOLVED', member_count=0)
                continue
            own.filter(role='owner').exclude(pk=owner.pk).update(role='admin')
            own.filter(pk=owner.pk).update(role='owner')
            groups.filter(pk=group_id).update(member_count=own.count())
        last = batch[-1]


def add_participants(apps, schema_editor):
    """Add a participant for each member of a group and for each party of a private conversation.

    Nobody begins with old messages unread.

    Safe to repeat.
    """
    alias = schema_editor.connection.alias
    conversations = apps.get_model('messaging', 'Conversation').objects.using(alias)
    members = apps.get_model('messaging', 'ChatGroupMember').objects.using(alias)
    last = 0
    while batch := list(
        members.filter(pk__gt=last).order_by('pk').values_list('pk', 'group_id', 'user_id')[:BATCH]
    ):
        names = {f'g{group_id}' for _, group_id, _ in batch}
        seqs = dict(conversations.filter(pk__in=names).values_list('pk', 'last_seq'))
        insert(apps, alias, [(user, f'g{group}', seqs.get(f'g{group}', 0)) for _, group, user in batch])
        last = batch[-1][0]
    last = ''
    while batch := list(
        conversations.filter(pk__gt=last).order_by('pk').values_list('pk', 'last_seq')[:BATCH]
    ):
        insert(
            apps,
            alias,
            [
                (user_id, name, seq)
                for name, seq in batch
                if not name.startswith('g')
                for user_id in sorted(set(map(int, name.split('_'))))
            ],
        )
        last = batch[-1][0]


def insert(apps, alias, rows):
    participants = apps.get_model('messaging', 'Participant').objects.using(alias)
    participants.bulk_create(
        [
            participants.model(
                user_id=user_id, conversation_id=name, read_seq=seq, delivered_seq=seq
            )
            for user_id, name, seq in rows
        ],
        batch_size=BATCH,
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):

    atomic = False  # a large site goes on where a broken connection has stopped it

    dependencies = [
        ('messaging', '0012_groups'),
    ]

    operations = [
        migrations.RunPython(complete_groups, migrations.RunPython.noop),
        migrations.RunPython(add_participants, migrations.RunPython.noop),
    ]
